//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// artifact is one build of the public embedded-postgres-binaries, as Maven names it.
type artifact struct {
	platform string // "linux-amd64", "linux-arm64v8-alpine"
	version  string
}

// downloadVersion is the one that our users get if they have no PostgreSQL of their own.
const downloadVersion = "17.6.0"

func thisMachine() artifact {
	arch, renamed := map[string]string{"386": "i386", "arm": "arm32v7", "arm64": "arm64v8"}[runtime.GOARCH]
	if !renamed {
		arch = runtime.GOARCH
	}
	platform := runtime.GOOS + "-" + arch
	if musl, _ := filepath.Glob("/lib/ld-musl-*"); len(musl) > 0 {
		platform += "-alpine"
	}
	return artifact{platform, downloadVersion}
}

func (a artifact) name() string { return "embedded-postgres-binaries-" + a.platform }

// jar is the artifact's URL in a repository. A password in base does not show up in errors: url.URL.Redacted and net/http take care of it.
func (a artifact) jar(base string) string {
	return fmt.Sprintf("%s/io/zonky/test/postgres/%s/%s/%[2]s-%[3]s.jar", strings.TrimRight(base, "/"), a.name(), a.version)
}

// get gives the binaries of the artifact from Home, or downloads them there first, once for all processes. The errors are parts of the
// caller's sentence.
func (a artifact) get(ctx context.Context, base, home string, known *probes) (binaries, error) {
	store := filepath.Join(home, "binaries")
	dir := filepath.Join(store, a.platform+"-"+a.version)
	if b, err := inspectBinaries(ctx, filepath.Join(dir, "bin"), known); err == nil {
		return b, nil
	}
	if base == "" {
		return binaries{}, errNoDownload
	}
	if err := makeHome(store, known.account); err != nil {
		return binaries{}, err
	}
	l, err := openLock(filepath.Join(store, "lock"))
	if err != nil {
		return binaries{}, err
	}
	defer l.release()
	if _, err := l.take(ctx, func() bool { return false }); err != nil {
		return binaries{}, err
	}
	if b, err := inspectBinaries(ctx, filepath.Join(dir, "bin"), known); err == nil {
		return b, nil // somebody else has downloaded them meanwhile
	}
	return a.install(ctx, base, dir, known)
}

// install downloads, unpacks and tries the binaries in a temporary directory and then moves them to dir at once. The caller holds the lock.
func (a artifact) install(ctx context.Context, base, dir string, known *probes) (binaries, error) {
	for _, leftover := range entries(filepath.Dir(dir), "new-") { // of processes that were killed
		_ = os.RemoveAll(leftover)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return binaries{}, homeError(filepath.Dir(dir), err)
	}
	defer os.RemoveAll(tmp)
	jar := filepath.Join(tmp, "jar")
	if err := fetchVerified(ctx, a.jar(base), jar); err != nil {
		return binaries{}, err
	}
	unpacked := filepath.Join(tmp, "unpacked")
	if err := unpackJar(jar, unpacked); err != nil {
		return binaries{}, fmt.Errorf("unpacking %s: %w", redacted(a.jar(base)), err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil { // the server's account must get in to try them
		return binaries{}, homeError(tmp, err)
	}
	if _, err := inspectBinaries(ctx, filepath.Join(unpacked, "bin"), known); err != nil {
		return binaries{}, fmt.Errorf("the binaries of %s do not run on this machine: %w", redacted(a.jar(base)), err)
	}
	if err := os.RemoveAll(dir); err != nil { // what was there does not run
		return binaries{}, homeError(dir, err)
	}
	if err := os.Rename(unpacked, dir); err != nil {
		return binaries{}, homeError(dir, err)
	}
	return inspectBinaries(ctx, filepath.Join(dir, "bin"), known)
}
