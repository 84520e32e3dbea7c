# Sourced by start-hapi.sh and fhir-validate: says plainly what is missing and how to get it.

missing() {
  echo "$1" >&2
  echo "  Debian, Ubuntu: apt-get install -y $2    Fedora: dnf install -y $3    macOS: brew install $4" >&2
  exit 3
}

need_java() { # a Java runtime, 17 or newer
  command -v java >/dev/null 2>&1 ||
    missing "java is missing: HAPI FHIR needs Java 17 or newer" openjdk-17-jdk-headless java-17-openjdk-devel openjdk@17
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ] ||
    missing "java is too old (${major:-unknown}): HAPI FHIR needs Java 17 or newer" \
      openjdk-17-jdk-headless java-17-openjdk-devel openjdk@17
}

need_build() { # what the first build needs besides the runtime: compiler and Maven
  command -v javac >/dev/null 2>&1 ||
    missing "javac is missing: the first build needs a JDK, not only a Java runtime" \
      openjdk-17-jdk-headless java-17-openjdk-devel openjdk@17
  command -v mvn >/dev/null 2>&1 ||
    missing "mvn is missing: the first build takes HAPI FHIR from Maven Central with Maven 3.8 or newer" maven maven maven
}

need_curl() {
  command -v curl >/dev/null 2>&1 || missing "curl is missing: it asks the server whether it is ready" curl curl curl
}

# build_once SOURCE_DIR HOME JAR KEY: prints the folder with JAR and lib/, built from SOURCE_DIR if it is not there yet.
# The build lands under its final name in one rename, so an interrupted build is never mistaken for a finished one.
build_once() {
  app=$2/build-$4
  if [ ! -f "$app/$3" ]; then
    need_build
    tmp=$2/tmp.$$; rm -rf "$tmp"; mkdir -p "$tmp"
    cp -R "$1/pom.xml" "$1/src" "$tmp/"
    echo "building $3 (first time: downloads from Maven Central, some minutes) ..." >&2
    # shellcheck disable=SC2086  # MVN_OPTS holds several words
    (cd "$tmp" && mvn -B -q ${MVN_OPTS:-} package >&2)
    mkdir "$tmp/app"; mv "$tmp/target/lib" "$tmp/target/$3" "$tmp/app/"
    rm -rf "$app" # what an older, interrupted build left
    mv "$tmp/app" "$app" 2>/dev/null || [ -f "$app/$3" ]
    rm -rf "$tmp"
  fi
  echo "$app"
}
