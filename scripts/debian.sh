# shellcheck shell=bash
# Debian packages from the machine's own mirror, unpacked beside the system. Sourced, not run.
# apt's own settings (proxy, certificates, sign-in to a mirror) stay in force.

# debian_archives: one line per Debian archive that apt uses here: "ADDRESS CODENAME", main archive first.
debian_archives() {
  local lines
  # shellcheck disable=SC2016  # apt's words, not the shell's
  local form='$(REPO_URI) $(CODENAME)'
  lines=$(apt-get indextargets --format "$form" 'Created-By: Packages' 'Origin: Debian' 2>/dev/null | sort -u)
  if [ -z "$lines" ]; then
    apt-get update -qq >&2 || return 1
    lines=$(apt-get indextargets --format "$form" 'Created-By: Packages' 'Origin: Debian' | sort -u)
  fi
  printf '%s\n' "$lines" | grep -v -e '-updates$' -e '-security$' -e '-backports$'
  printf '%s\n' "$lines" | grep -e '-security$' || true
}

# debian_mirror: the address of the main archive that apt uses here.
debian_mirror() { debian_archives | sed -n '1s/ .*//p'; }

# debian_security_mirror: the address of the security archive, empty when apt uses none.
debian_security_mirror() { debian_archives | sed -n '/-security$/{s/ .*//p;q}'; }

# debian_codename: bookworm, trixie, …
# shellcheck disable=SC1091  # the system's own file
debian_codename() { (. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-}"); }

# debian_fetch CODENAME FOLDER PACKAGE…: the packages' files (.deb) of that release in FOLDER, checked by
# apt against the archive's signature. What is there already stays.
debian_fetch() {
  local codename=$1 folder=$2 mirror security package missing=()
  shift 2
  mkdir -p "$folder"
  for package in "$@"; do
    compgen -G "$folder/${package}_*.deb" >/dev/null || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  mirror=$(debian_mirror) && [ -n "$mirror" ] || return 1
  security=$(debian_security_mirror)
  local apt
  apt=$(mktemp -d)
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
  : > "$apt/status"
  local signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  {
    printf 'deb %s %s %s main\n' "$signed" "$mirror" "$codename"
    [ -z "$security" ] || printf 'deb %s %s %s-security main\n' "$signed" "$security" "$codename"
  } > "$apt/sources.list"
  local options=(
    -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State=$apt/state" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache"
    -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0 -o Acquire::Languages=none -o Acquire::Retries=3
  )
  local answer=0
  apt-get -qq "${options[@]}" update >&2 \
    && (cd "$folder" && apt-get -qq "${options[@]}" download "${missing[@]}" >&2) || answer=1
  rm -rf "$apt"
  return "$answer"
}

# debian_unpack FOLDER ROOT PACKAGE…: unpack fetched packages into ROOT without running their scripts.
debian_unpack() {
  local folder=$1 root=$2 package file
  shift 2
  mkdir -p "$root"
  for package in "$@"; do
    for file in "$folder/${package}"_*.deb; do
      dpkg-deb --extract "$file" "$root" || return 1
    done
  done
}
