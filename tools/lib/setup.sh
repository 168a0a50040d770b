# shellcheck shell=bash
# Set-up shared by tools/quickstart and tools/test: system packages, the virtual
# environment, the build. Each step costs next to nothing when there is nothing
# left to do. Sourced by bash; the caller has set -euo pipefail.
#
# Environment: PYTHON         interpreter for the virtual environment (python3)
#              FERRULE_VENV   virtual environment (build/venv)
#              CXX            C++ compiler (g++)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${FERRULE_VENV:-$root/build/venv}
python=${PYTHON:-python3}

say() { printf '\n== %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

have_header() {
  have "${CXX:-g++}" &&
    "${CXX:-g++}" -E -x c++ - <<<"#include <$1>" >/dev/null 2>&1
}

# Debian packages that are needed and not there, one a line.
missing_packages() {
  have "${CXX:-g++}" || echo g++
  have nm || echo binutils
  have flatc || echo flatbuffers-compiler
  have_header flatbuffers/flatbuffers.h || echo libflatbuffers-dev
  have_header doctest/doctest.h || echo doctest-dev
  if ! have "$python"; then
    printf '%s\n' python3 python3-venv python3-dev
    return
  fi
  "$python" - <<'EOF'
import importlib.util as util, os, sys, sysconfig
# Packages of other interpreters than the distribution's have its version.
name = "python3" if sys.executable == "/usr/bin/python3" else (
    f"python{sys.version_info[0]}.{sys.version_info[1]}")
if not (util.find_spec("venv") and util.find_spec("ensurepip")):
    print(name + "-venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print(name + "-dev")
EOF
}

# Installs Debian packages, as root or through sudo.
apt_install() {
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    # Asks for a password only where somebody can type one.
    if have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      return 1
    fi
  fi
  have apt-get || return 1
  "${as_root[@]}" apt-get update -q </dev/null &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends "$@" </dev/null
}

setup_system() {
  local missing
  missing=$(missing_packages | tr '\n' ' ')
  if [ -n "$missing" ]; then
    say "System packages: $missing"
    # shellcheck disable=SC2086
    apt_install $missing || die "these system packages are missing and could \
not be installed: $missing
Install them and run this again, on Debian and Ubuntu with:
  sudo apt-get update && sudo apt-get install $missing"
    missing=$(missing_packages | tr '\n' ' ')
    [ -z "$missing" ] || die "still missing after installing: $missing"
  fi
  # These only make building faster; tried once.
  mkdir -p "$root/build"
  if ! { have ccache && have mold; } && [ ! -e "$root/build/.tried-ccache" ]; then
    say "Optional system packages: ccache mold"
    apt_install ccache mold >"$root/build/.tried-ccache" 2>&1 ||
      echo "not installed; building works without them, only slower"
  fi
}

# setup_venv [REQUIREMENT...]: the virtual environment, with additional packages.
setup_venv() {
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "Python 3.10 or newer is needed; $python is $("$python" -V 2>&1). \
Set PYTHON to another one."
  if [ ! -x "$venv/bin/python" ]; then
    say "Virtual environment: $venv"
    "$python" -m venv "$venv"
  fi
  local stamp=$venv/.ferrule-requirements wanted
  wanted=$(sha256sum "$root/tools/requirements.txt"; echo "$@")
  if [ "$wanted" != "$(cat "$stamp" 2>/dev/null)" ]; then
    say "Python packages"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check \
      -r "$root/tools/requirements.txt" "$@" </dev/null
    echo "$wanted" >"$stamp"
  fi
  # `import ferrule` finds the package in the tree.
  local site
  site=$("$venv/bin/python" -c 'import sysconfig
print(sysconfig.get_path("purelib"))')
  echo "$root/python" >"$site/ferrule-tree.pth"
  export PATH="$venv/bin:$PATH"
}

# build PRESET [TARGET...]: configures and builds what has changed.
build() {
  local preset=$1
  shift
  say "Building: preset $preset"
  # What is compiled here serves copies of the tree too.
  export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  (
    cd "$root"
    mkdir -p build/logs
    cmake --preset "$preset" "-DPython_EXECUTABLE=$venv/bin/python" \
      >"build/logs/configure-$preset.log" 2>&1 || {
      cat "build/logs/configure-$preset.log"
      exit 1
    }
    cmake --build --preset "$preset" ${1:+--target "$@"} </dev/null
  )
  # The tool stands beside python.
  [ "$preset" != release ] || ln -sfn "$root/build/release/bin/ferrule" \
    "$venv/bin/ferrule"
}

# All C and C++ sources, each ended by a NUL.
c_sources() {
  (
    cd "$root"
    find include runtime python/src tests docs/examples \
      \( -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.c' \) -print0
  )
}
