#!/bin/sh
# Installs the missing packages that a make target needs: `sh requirements/install.sh TARGET`.
#
#   run    the Python packages of the product, into .venv
#   lint   as run, and the packages of the checks and tests
#   test   as lint, and with apt-get PostgreSQL, Redis, PgBouncer, headless Chromium, faketime, nginx, ClamAV, curl, jq,
#          promtool, systemd-analyze, gettext, and the desks that the tests connect to: Request Tracker, Redmine and webhook
#   bench  as lint, and with apt-get PostgreSQL, Redis and PgBouncer
#   messages     as lint, and with apt-get gettext
#   screenshots  as lint, and with apt-get Chromium, faketime and pngquant
#
# PYTHON selects the interpreter; the default is python3. Each error is reported in one line, with exit code 1.
set -eu
cd "$(dirname "$0")/.."
target=$1
python=${PYTHON:-python3}
oldest=3.11

fail() {
    echo "casexchange: $*" >&2
    exit 1
}

# apt_install WHY PACKAGE...
apt_install() {
    why=$1
    shift
    command -v apt-get >/dev/null || fail "$why needs $*, and there is no apt-get here: please install it yourself."
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif command -v sudo >/dev/null; then
        sudo=sudo
    else
        fail "$why needs $*: run 'apt-get install $*' as root."
    fi
    echo "Installing with apt-get: $*"
    # apt-get's output is shown only on failure: its warnings may be about an unreachable source that is not needed.
    if ! said=$($sudo apt-get -qq update </dev/null 2>&1 &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
            --no-remove -o DPkg::Lock::Timeout=300 "$@" </dev/null 2>&1); then
        echo "$said" >&2
        fail "apt-get could not install $*."
    fi
}

# Succeeds if the Debian package is installed.
has_package() {
    # shellcheck disable=SC2016 # dpkg-query expands it
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Adds to `missing` the real desks that tests/foreign/ connects to. Their packages matter, not only their programs.
add_foreign_desks() {
    # Request Tracker wants a mail server. One that is there may stay.
    command -v sendmail >/dev/null || has_package dma || missing="$missing dma"
    # Without dbconfig-no-thanks, installing would also create databases for them.
    for package in dbconfig-no-thanks request-tracker5 rt5-standalone rt5-db-sqlite redmine redmine-sqlite; do
        has_package $package || missing="$missing $package"
    done
    command -v webhook >/dev/null || missing="$missing webhook"
}

check_python() {
    command -v "$python" >/dev/null ||
        fail "$python was not found: install Python $oldest or newer, or name one, as in: make $target PYTHON=python3.12"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "$python does not work."
    if [ "${version%%.*}" -lt "${oldest%%.*}" ] ||
        { [ "${version%%.*}" -eq "${oldest%%.*}" ] && [ "${version#*.}" -lt "${oldest#*.}" ]; }; then
        fail "$python is Python $version, $oldest or newer is needed. Name one, as in: make $target PYTHON=python3.12"
    fi
}

check_writable() {
    [ -w . ] || fail "the folder $PWD cannot be written to: copy the project to a folder of yours."
}

# Succeeds if .venv has the packages of the current lock file requirements/$1.txt.
is_synced() {
    [ -x .venv/bin/python ] && [ "$(cat .venv/synced 2>/dev/null)" = "$1 $(cksum <"requirements/$1.txt")" ]
}

# uv installs the lock files. It has a separate environment, .bootstrap.
bootstrap() {
    wanted=$(cksum <requirements/bootstrap.txt)
    if [ -x .bootstrap/bin/uv ] && [ "$(cat .bootstrap/synced 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install "make $target" "python$version-venv"
    rm -rf .bootstrap
    "$python" -I -m venv .bootstrap
    # The script, not `python -m pip`, which would take this folder's modules for the standard library's.
    .bootstrap/bin/pip install --quiet --disable-pip-version-check --no-input --require-hashes \
        -r requirements/bootstrap.txt || fail "uv could not be installed with pip; see its message above."
    echo "$wanted" >.bootstrap/synced
}

sync() {
    is_synced "$1" && return
    check_writable
    bootstrap
    echo "Installing the Python packages of requirements/$1.txt into .venv"
    # A company may name its mirror in pip's configuration, which uv does not read.
    index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(.bootstrap/bin/pip config get global.index-url 2>/dev/null || true)}}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    export UV_PYTHON_DOWNLOADS=never
    if ! .venv/bin/python -c "import sys; sys.exit(sys.version_info < (${oldest%%.*}, ${oldest#*.}))" 2>/dev/null; then
        .bootstrap/bin/uv --quiet venv --clear --python "$(command -v "$python")" .venv ||
            fail "the virtual environment .venv could not be created; see the message of uv above."
    fi
    rm -f .venv/synced
    .bootstrap/bin/uv --quiet pip sync --require-hashes --compile-bytecode --python .venv/bin/python \
        "requirements/$1.txt" || fail "the Python packages could not be installed; see the message of uv above."
    echo "$1 $(cksum <"requirements/$1.txt")" >.venv/synced
}

check_python
# Without VAR_DIR, this folder also holds the data, so it must be writable.
[ -n "${VAR_DIR:-}" ] || check_writable

case $target in
run)
    # If the packages of the tests are installed, keep them.
    case $(cat .venv/synced 2>/dev/null) in
    dev*) sync dev ;;
    *) sync run ;;
    esac
    ;;
lint) sync dev ;;
messages)
    command -v msgfmt >/dev/null || apt_install "make messages" gettext
    sync dev
    ;;
test | bench)
    missing=
    command -v redis-server >/dev/null || missing="$missing redis-server"
    # If the headless shell cannot be installed, an installed Chromium will do, but takes three times as long.
    [ "$target" = bench ] || command -v chromium-headless-shell >/dev/null ||
        { command -v chromium >/dev/null && (apt_install "make $target" chromium-headless-shell) 2>/dev/null; } ||
        command -v chromium >/dev/null || missing="$missing chromium-headless-shell"
    [ "$target" = bench ] || command -v faketime >/dev/null || missing="$missing faketime"
    # The path of a user who is not root lacks /usr/sbin, where these are.
    [ "$target" = bench ] || command -v nginx >/dev/null || has_package nginx-light || missing="$missing nginx-light"
    [ "$target" = bench ] || command -v clamd >/dev/null || has_package clamav-daemon || missing="$missing clamav-daemon"
    command -v pgbouncer >/dev/null || has_package pgbouncer || missing="$missing pgbouncer"
    [ "$target" = bench ] || command -v clamdscan >/dev/null || missing="$missing clamdscan"
    [ "$target" = bench ] || command -v curl >/dev/null || missing="$missing curl"
    [ "$target" = bench ] || command -v jq >/dev/null || missing="$missing jq"
    [ "$target" = bench ] || command -v promtool >/dev/null || missing="$missing prometheus"
    [ "$target" = bench ] || command -v systemd-analyze >/dev/null || missing="$missing systemd"
    [ "$target" = bench ] || command -v msgfmt >/dev/null || missing="$missing gettext"
    [ "$target" = bench ] || add_foreign_desks
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
        missing="$missing postgresql"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || apt_install "make $target" $missing
    sync dev
    ;;
screenshots)
    missing=
    for program in chromium faketime pngquant; do
        command -v "$program" >/dev/null || missing="$missing $program"
    done
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || apt_install "make $target" $missing
    sync dev
    ;;
*) fail "unknown target $target: use run, lint, test, bench, messages or screenshots" ;;
esac
