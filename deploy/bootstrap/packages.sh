#!/bin/sh
# Installs the packages of package-lock.json, and does nothing when the last install was of this very lock file.
#
# Install scripts stay off: no package here needs one to work, and one of them reports home.
set -u
cd "$(dirname "$0")/../.." || exit 1

stamp=.cache/packages-installed.json
log=.cache/packages-install.log

[ -f node_modules/.package-lock.json ] && cmp -s package-lock.json "$stamp" && exit 0

mkdir -p .cache
rm -f "$stamp"
echo "Installing the packages of package-lock.json ..."

# npm from 11 on refuses a lock file without the optional packages of every other platform, and a registry's mirror may not have
# them all. What the lock file does name is installed as locked by "npm install" too; a version that contradicts it is not.
if ! npm ci --ignore-scripts --no-audit --no-fund >"$log" 2>&1; then
  if ! grep -q EUSAGE "$log" || grep -q 'Invalid:' "$log" ||
    ! npm install --no-save --ignore-scripts --no-audit --no-fund >"$log" 2>&1; then
    reason=$(grep -E '^npm (ERR!|error)' "$log" | grep -v -E '(ERR!|error) code' | grep -m 1 -E '(ERR!|error) .')
    echo "The packages could not be installed (${reason:-no word from npm}; all of it in $log): see that npm's registry can be reached and has what package-lock.json names, then run make again." >&2
    exit 1
  fi
fi
cp package-lock.json "$stamp"
rm -f "$log"
