#!/bin/sh
# The entry point of the image. `prepare` makes the keys that are missing, migrates, and collects the static files; any
# other command is run with these keys. They are in VAR_DIR, unless the environment has them: back them up.
set -eu
umask 077

# keep NAME FILE PROGRAM: exports the variable NAME from the file, which `prepare` fills once with what PROGRAM prints.
keep() {
    eval "given=\${$1:-}"
    if [ -z "$given" ]; then
        file="$VAR_DIR/$2"
        if [ ! -s "$file" ] && [ "$command" = prepare ]; then
            python -c "$3" >"$file.new"
            mv "$file.new" "$file"
        fi
        [ -s "$file" ] || {
            echo "casexchange: $1 is not set, and there is no $file: run prepare first" >&2
            exit 1
        }
        given=$(cat "$file")
        export "$1=$given"
    fi
}

command=${1:-}
keep SECRET_KEY secret_key "import secrets; print(secrets.token_urlsafe(50))"
keep FIELD_ENCRYPTION_KEYS field_encryption_keys \
    "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"

if [ "$command" = prepare ]; then
    python manage.py migrate --noinput
    exec python manage.py collectstatic --noinput --verbosity 0
fi
exec "$@"
