//! Protocols of one line, pure state machines: every input, time too, is an argument.
