//! One loop that drives the lines, publishes the snapshot and answers the control socket.
