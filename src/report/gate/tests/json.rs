use super::*;

#[test]
fn json_is_the_comparison_with_its_version_and_kind() {
    for comparison in all() {
        let value: serde_json::Value = serde_json::from_str(&json(&comparison)).expect("JSON");
        assert_eq!(value["schema_version"], 1);
        assert_eq!(value["kind"], "rkllm-bench comparison");
        let back: Comparison = serde_json::from_value(value).expect("a comparison");
        assert_eq!(back, comparison);
    }
}

#[test]
fn a_number_that_is_none_is_null() {
    let mut comparison = by_hand(Overall::NoRegression, vec![judged("m", "a", Verdict::Equivalent)]);
    comparison.metrics[0].baseline = f64::NAN;
    let value: serde_json::Value = serde_json::from_str(&json(&comparison)).expect("JSON");
    assert!(value["metrics"][0]["baseline"].is_null());
}
