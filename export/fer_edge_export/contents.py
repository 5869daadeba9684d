def _write(
    config: ExportConfig, source: Source, spec: Preprocess, shipped: dict[str, tuple[Artefact, bytes]], measured: list[Measured],
    report: dict[str, Any], say: Say,
) -> None:  # fmt: skip
    from fer_edge_export.bundle_writer import write_bundle
    from fer_edge_export.card import model_card
    from fer_edge_export.golden import GOLDEN_NAME, expected_scores, golden_crops, pack_golden
    from fer_edge_runtime.engines import open_engine

    crops = golden_crops(spec, seed=config.seed)
    expected = {name: expected_scores(open_engine(entry, content), entry, crops, spec) for name, (entry, content) in shipped.items()}
    files = {
        "README.md": model_card(_card_facts(config, source, shipped, measured, report)).encode(),
        REPORT: (json.dumps(report, indent=1) + "\n").encode(),
    }
    golden = pack_golden(crops, expected)
    manifest = _manifest(config, source, spec, shipped, files, golden, measured, report)
    contents = {name: content for name, (_, content) in shipped.items()}
    write_bundle(config.out, manifest, {**contents, **files, GOLDEN_NAME: golden}, overwrite=config.overwrite)
    say(f"Wrote {config.out}: verified, golden vectors replayed on every engine.")
