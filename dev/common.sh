# shellcheck shell=bash
# What the scripts in this folder share. Sourced, not run.

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hpc-ports

# Print the folder of a venv: `main`, or `2.16` for the ansible-core of that name. Other requirements are another folder.
venv_dir() {
  local sum
  sum=$(cd "$root" && { python3 --version && cat requirements.txt dev/requirements*.txt; } | sha256sum)
  echo "$cache/venv-$1-${sum:0:12}"
}

# Half of what it takes to collect the unit tests is compiling them.
unset PYTHONDONTWRITEBYTECODE
