//! The document and what is served are the same.

use std::collections::BTreeSet;

use axum::http::Request as HttpRequest;
use http_body_util::BodyExt;
use serde_json::Value;
use utoipa::openapi;

use super::*;

/// An API whose router has stopped.
fn api() -> Api {
    let (requests, stopped) = mpsc::channel(1);
    drop(stopped);
    Api {
        requests,
        history: History::start(&std::env::temp_dir().join("not-a-directory\0")),
        additions: Additions::default(),
    }
}

async fn answer(routes: &Router, method: &str, path: &str) -> (StatusCode, Value) {
    let actor = Actor::Process { uid: None, pid: None };
    let request = HttpRequest::builder().method(method).uri(path).extension(actor).body(Body::empty()).unwrap();
    let Ok(response) = TowerToHyperService::new(routes.clone()).call(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Path and method of everything that a document describes.
fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = |(path, item): (&String, &Value)| -> Vec<_> {
        item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())).collect()
    };
    paths.iter().flat_map(operations).collect()
}

/// Every `$ref` in a document.
fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(entries) => {
            found.extend(entries.get("$ref").and_then(Value::as_str));
            entries.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[derive(OpenApi)]
#[openapi(paths(weather))]
struct Weather;

/// Whether it rains
#[utoipa::path(get, path = "/v1/weather", responses((status = 200, description = "The answer")))]
async fn weather() -> &'static str {
    "\"rain\""
}

#[tokio::test]
async fn every_route_is_in_the_document_and_the_other_way_round() {
    let api = api();
    api.additions.add_paths(&Router::new().route("/v1/weather", get(weather)), &Weather::openapi());
    let routes = api.routes(openapi::OpenApi::default());
    let (status, document) = answer(&routes, "GET", "/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let own = OWN_PATHS.iter().chain(&[("/v1/weather", "get")]);
    let served: BTreeSet<_> = own.map(|(path, method)| ((*path).to_owned(), (*method).to_owned())).collect();
    assert_eq!(described(&document), served);
    for (path, method) in &served {
        let (status, said) = answer(&routes, &method.to_uppercase(), path).await;
        assert!(![StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status), "{path}: {status}");
        assert!(status.is_success() || said["detail"].is_string(), "{path}: {said}");
        let other = if method == "get" { "POST" } else { "GET" };
        let (status, said) = answer(&routes, other, path).await;
        assert_eq!((status, said["status"].as_u64()), (StatusCode::METHOD_NOT_ALLOWED, Some(405)), "{path}: {said}");
    }
    let (status, said) = answer(&routes, "GET", "/v1/nothing").await;
    let detail = said["detail"].as_str().unwrap();
    assert!(status == StatusCode::NOT_FOUND && served.iter().all(|(path, _)| detail.contains(path)), "{detail}");
}

#[tokio::test]
async fn document_is_whole_and_has_what_is_served_beside() {
    let routes = api().routes(Weather::openapi());
    let (_, document) = answer(&routes, "GET", "/v1/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{document}");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(described(&document).contains(&("/v1/weather".to_owned(), "get".to_owned())));
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/schemas/Problem") && found.contains("#/components/schemas/StatusReport"));
    for reference in found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference} is not there");
    }
    let uplink = &document["components"]["schemas"]["UplinkReport"]["properties"];
    assert!(uplink["in"].is_object() && uplink["back"].is_null(), "as JSON names it");
    let parameters = document["paths"]["/v1/flows"]["get"]["parameters"].as_array().unwrap();
    assert!(
        parameters.iter().all(|parameter| parameter["in"] == "query" && parameter["required"] != true),
        "{parameters:?}"
    );
    for operation in document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        let refusals = operation["responses"].as_object().unwrap().iter().filter(|(status, _)| *status != "200");
        for (status, response) in refusals {
            assert!(response["content"]["application/problem+json"].is_object(), "{status}: {response}");
        }
        assert!(operation["summary"].as_str().is_some_and(|said| !said.is_empty()), "{operation}");
    }
}

#[tokio::test]
async fn answers_are_counted_by_path_and_status() {
    let api = api();
    api.additions.add_paths(&Router::new().route("/v1/weather", get(weather)), &Weather::openapi());
    let routes = api.routes(openapi::OpenApi::default());
    for path in ["/v1/status", "/v1/openapi.json", "/v1/weather", "/v1/weather", "/etc/passwd", "/v1/nothing"] {
        answer(&routes, "GET", path).await;
    }
    let answers: Vec<_> =
        api.additions.answers().into_iter().map(|((path, code), count)| (path, code, count)).collect();
    let of = |path: &str, code, count| (path.to_owned(), code, count);
    let expected =
        [of("/v1/openapi.json", 200, 1), of("/v1/status", 503, 1), of("/v1/weather", 200, 2), of("unknown", 404, 2)];
    assert_eq!(answers, expected);
}
