def fit_framings(
    config: ExportConfig, data: FaceDataset, say: Say, progress: Progress
) -> tuple[dict[str, Framing], dict[str, Any]]:
    """Framing of every detector, measured on training faces, and how it was found.

    A detector that finds too few faces (drawn faces, another domain) gets the framing measured on FER2013; so does YuNet
    when its file was not given.
    """
    from fer_edge_runtime.detect import open_detector
    from fer_edge_train.framing import FER2013_FRAMING, MIN_SCORE, fit_framing

    faces, _ = data.part("Training")
    specs = {"full": "full", "short": "short", "yunet": f"yunet:{config.yunet}" if config.yunet else ""}
    framing: dict[str, Framing] = {}
    facts: dict[str, Any] = {}
    for name, spec in specs.items():
        framing[name], facts[name] = FER2013_FRAMING[name], {"measured_on": "FER2013"}
        if not spec:
            continue
        try:
            fit = fit_framing(
                faces, open_detector(spec, min_face=64, min_score=MIN_SCORE), sample=config.framing_faces, seed=config.seed,
                progress=lambda done, total, name=name: progress(f"framing of {name}", done, total),  # type: ignore[misc]
            )  # fmt: skip
        except DataError as error:
            say(f"Framing of '{name}': {error} FER2013's framing is used.")
            continue
        framing[name], facts[name] = fit.framing, {"measured_on": "this data set", **fit.as_json()}
        say(f"Framing of '{name}': scale {fit.framing.scale:.3f} ± {fit.spread[0]:.3f} from {fit.found} of {fit.tried} faces.")
    return framing, facts
