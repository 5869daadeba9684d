"""Download FER2013 from Kaggle with kagglehub; needs an account, which this module explains."""

from __future__ import annotations

from pathlib import Path

from fer_edge_runtime.errors import SourceError

COMPETITION = "challenges-in-representation-learning-facial-expression-recognition-challenge"
COMPETITION_FILE = "icml_face_data.csv"
FOLDERS = "msambare/fer2013"


def fetch(out: Path | None, *, folders: bool = False) -> Path:
    """Download and return where the data set is.

    Args:
        out: folder to put it in; None means kagglehub's cache.
        folders: the class folders that a Kaggle user made (train and test, no PublicTest), instead of the challenge's CSV.

    Raises:
        SourceError: no credentials, rules not accepted, no network, or the file is there already.
    """
    import kagglehub
    import requests
    from kagglehub.exceptions import CredentialError, KaggleApiHTTPError, UnauthenticatedError

    place = None if out is None else str(out)
    try:
        if folders:
            return Path(kagglehub.dataset_download(FOLDERS, output_dir=place))
        found = Path(kagglehub.competition_download(COMPETITION, COMPETITION_FILE, output_dir=place))
        return found / COMPETITION_FILE if found.is_dir() else found
    except (UnauthenticatedError, CredentialError, KaggleApiHTTPError, ValueError) as error:
        raise SourceError(f"Kaggle gives nothing ({_first_line(error)}). {_advice(folders)}") from error
    except requests.RequestException as error:
        raise SourceError(
            f"Kaggle cannot be reached ({type(error).__name__}). With a network, this needs an account: {_advice(folders)}"
        ) from error
    except OSError as error:
        raise SourceError(f"FER2013 cannot be put into {out or 'the cache of kagglehub'}: {error}.") from error


def _advice(folders: bool) -> str:
    rules = "" if folders else f"accept the rules at kaggle.com/competitions/{COMPETITION}/rules, "
    return (
        f"Sign in at kaggle.com, {rules}create a token at kaggle.com/settings, and put it at ~/.kaggle/kaggle.json "
        "or into KAGGLE_USERNAME and KAGGLE_KEY."
    )


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(". ")
