# shellcheck shell=bash
# Functions and variables that the scripts in this folder share. Sourced, not run.

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hpc-ports

# Print the folder of a venv: `main`, `2.16` with that ansible-core, or `docs`. Changed requirements get a new folder.
venv_dir() {
  local sum files=(requirements.txt dev/requirements{-2.16,}.txt)
  [ "$1" != docs ] || files=(requirements.txt dev/requirements-docs.txt)
  sum=$(cd "$root" && { python3 --version && cat "${files[@]}"; } | sha256sum)
  echo "$cache/venv-$1-${sum:0:12}"
}

# Make a venv, unless it is complete.
# usage: make_venv FOLDER PIP-ARGUMENT...
make_venv() {
  local folder=$1
  shift
  [ ! -e "$folder/complete" ] || return 0
  echo "Making $folder"
  python3 -m venv --clear "$folder"
  (cd "$root" && "$folder/bin/pip" --quiet --disable-pip-version-check install "$@")
  touch "$folder/complete"
}

# Without cached bytecode, collecting the unit tests takes twice as long.
unset PYTHONDONTWRITEBYTECODE
