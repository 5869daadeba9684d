# Shared by the scripts here: find a Python, make a private environment. Sourced, not run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "fer-edge needs Python 3.11, 3.12 or 3.13; none was found. Set PYTHON=/path/to/python3.x and try again." >&2
  return 2
}

# make_venv FOLDER: a fresh environment unless one is there; its pip is new enough for dependency groups.
make_venv() {
  local python
  if [ ! -x "$1/bin/python" ]; then
    python=$(find_python)
    echo "Making a private environment in $1 with $python …" >&2
    if ! "$python" -m venv "$1"; then
      rm -rf "$1"
      echo "The environment could not be made. On Debian and Ubuntu: sudo apt install python3-venv" >&2
      return 2
    fi
  fi
  "$1/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
}
