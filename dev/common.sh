# shellcheck shell=bash
# Functions and variables that the scripts in this folder share. Sourced, not run.

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hpc-ports

# Print the folder of a venv: `main`, or `2.16` with that ansible-core. Changed requirements get a new folder.
venv_dir() {
  local sum
  sum=$(cd "$root" && { python3 --version && cat requirements.txt dev/requirements*.txt; } | sha256sum)
  echo "$cache/venv-$1-${sum:0:12}"
}

# Without cached bytecode, collecting the unit tests takes twice as long.
unset PYTHONDONTWRITEBYTECODE
