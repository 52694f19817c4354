# shellcheck shell=bash
# What the scripts in this folder share. Sourced, not run.

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hpc-ports

# Print the folder of a venv: `main`, or `216` with ansible-core 2.16. Other requirements are another folder.
venv_dir() {
  echo "$cache/venv-$1-$({ python3 --version && cat "$root/requirements.txt" "$root/dev/requirements.txt" "$root/dev/setup"; } | sha256sum | cut -c1-12)"
}
