#!/usr/bin/env bash
# One file of a tracked folder is gone from the DVC remote, and the cache still has it.
# Seen here: `dvc data status` names it and advises `dvc push`, `dvc push` of that very file says
# that all is up to date, and `dvc status -c` agrees with push. A file tracked by itself is mended.
# The exit code is 0 throughout, until somebody needs the file.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    dvc==3.67.1 dvc-data==3.18.3 dvc-objects==5.2.0

# Nothing that DVC remembers or is told elsewhere on the machine plays a part.
export DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR=$work/site
export DVC_GLOBAL_CONFIG_DIR=$work/global DVC_SYSTEM_CONFIG_DIR=$work/system
PATH=$work/venv/bin:$PATH

# Runs one command; fails unless its exit code and one line of its output are as before.
# shows CODE TEXT COMMAND...
shows() {
    local expected_code=$1 text=$2 code=0 output
    shift 2
    output=$("$@" 2>&1) || code=$?
    printf '\n$ %s\n%s\n(exit code %s)\n' "$*" "$output" "$code"
    if [[ $code != "$expected_code" || $output != *"$text"* ]]; then
        echo "changed: '$*' no longer exits $expected_code with '$text'"
        exit 1
    fi
}

# object_of STORE FILE: where a store of objects keeps the content of a file.
object_of() {
    local md5
    md5=$(md5sum "$2" | cut -c1-32)
    echo "$1/files/md5/${md5:0:2}/${md5:2}"
}

mkdir "$work/repo" && cd "$work/repo"
git init -q && dvc init -q && dvc remote add -q -d store "$work/remote"
mkdir folder && echo one >folder/1 && echo two >folder/2 && echo alone >alone
dvc add -q folder alone && dvc push -q
folder_object=$(object_of "$work/remote" folder/2)
alone_object=$(object_of "$work/remote" alone)
cached_object=$(object_of .dvc/cache folder/2)

echo "dvc $(dvc --version)"
echo "expected: status -c says 'new' for both files below, push brings both back"

rm -f "$alone_object" "$folder_object"
shows 0 "folder/2" dvc data status --not-in-remote --granular
shows 0 "new:                alone" dvc status -c
shows 0 "1 file pushed" dvc push
shows 0 "are in sync" dvc status -c
shows 0 "Everything is up to date." dvc push folder/2
if [[ ! -e $alone_object || -e $folder_object ]]; then
    echo "changed: push no longer brings back 'alone' only"
    exit 1
fi

echo
echo "Now neither has it. The word 'deleted' is for what the remote alone has."
rm -f "$cached_object"
shows 0 "deleted:            folder/2" dvc status -c
shows 0 "Everything is up to date." dvc push
rm -rf folder
shows 1 "failed to" dvc pull folder
