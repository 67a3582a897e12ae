#!/bin/sh
# Makes sure that a Node.js new enough for this project is first on the PATH that the Makefile exports: the machine's own one
# when it satisfies "engines" of package.json, else one from npm, under .cache/node.
#
# The packages in deploy/bootstrap/node hold one platform's executable each and have no install script, so nothing depends on
# whether this machine's npm runs such scripts. Versions are exact and the lock file pins the integrity that npm verifies.
set -u
cd "$(dirname "$0")/../.." || exit 1

pins=deploy/bootstrap/node
home=.cache/node
log=.cache/node-install.log
minimum=$(sed -n 's/^ *"node": *">=\([0-9][0-9.]*\)".*/\1/p' package.json)

fail() {
  rm -rf "$home.new.$$"
  echo "Node.js $minimum or newer is needed, and $1: install it by hand (https://nodejs.org/en/download), then run make again." >&2
  exit 1
}

# One comparable number per version: 24.1.12 -> 24001012.
number() {
  echo "$1" | awk -F. '{ printf "%d", $1 * 1000000 + $2 * 1000 + $3 }'
}

fits() {
  version=$("$1" --version 2>/dev/null) || return 1
  [ "$(number "${version#v}")" -ge "$(number "$minimum")" ]
}

[ -n "$minimum" ] || { echo "package.json names no \"node\": \">=x.y.z\" under \"engines\": restore it." >&2; exit 1; }

if [ -d "$home" ]; then
  # A changed pin replaces what was fetched for the old one.
  cmp -s "$pins/package-lock.json" "$home/package-lock.json" && fits "$home/node_modules/.bin/node" && exit 0
elif fits node; then
  exit 0
fi

found=$(node --version 2>/dev/null) && found="Node.js $found" || found='no Node.js'
command -v npm >/dev/null 2>&1 || fail "this machine has $found and no npm to fetch one with"
echo "This machine has $found; fetching Node.js $minimum or newer into $home (about 60 MB, once) ..."

# Built beside the old one and moved into place: an interrupted install leaves nothing that looks complete.
mkdir -p "$home.new.$$" || fail "$home.new.$$ cannot be written"
cp "$pins/package.json" "$pins/package-lock.json" "$home.new.$$/" || fail "$home.new.$$ cannot be written"
(cd "$home.new.$$" && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000) >"$log" 2>&1 ||
  fail "npm could not fetch one (see $log)"

executable=
for candidate in "$home.new.$$"/node_modules/node-*/bin/node; do
  [ -x "$candidate" ] && executable=$candidate
done
[ -n "$executable" ] || fail "npm brought none for $(uname -s) $(uname -m) that is as $pins/package-lock.json says"

package=${executable%/bin/node}
package=${package##*/}
pinned=$(sed -n "s/^ *\"$package\": *\"\([0-9.]*\)\".*/\1/p" "$pins/package.json")
got=$("$executable" --version 2>>"$log") || fail "$package does not run on this machine (see $log)"
[ "$got" = "v$pinned" ] || fail "$package says $got instead of v$pinned"

# npm up to 10 leaves this link out.
mkdir -p "$home.new.$$/node_modules/.bin"
ln -sf "../$package/bin/node" "$home.new.$$/node_modules/.bin/node" || fail "$home cannot be written"

if [ -d "$home" ]; then
  mv "$home" "$home.old.$$" || fail "$home cannot be replaced"
fi
mv "$home.new.$$" "$home" || fail "$home cannot be written"
rm -rf "$home.old.$$" "$log"
