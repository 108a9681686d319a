//go:build unix && !solaris && !aix

package pgserver

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ulikunitz/xz"
)

// repository is a local one in Maven's layout.
type repository struct {
	*httptest.Server
	files map[string][]byte
	jars  atomic.Int32 // answered requests for the jar
}

func newRepository(t *testing.T, jar []byte) *repository {
	t.Helper()
	r := &repository{files: map[string][]byte{
		".jar":        jar,
		".jar.sha256": fmt.Appendf(nil, "%x", sha256.Sum256(jar)),
	}}
	path := thisMachine().jar("")
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		suffix, _ := strings.CutPrefix(request.URL.Path, strings.TrimSuffix(path, ".jar"))
		content, ok := r.files[suffix]
		if !ok {
			http.NotFound(w, request)
			return
		}
		if suffix == ".jar" {
			r.jars.Add(1)
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(r.Close)
	return r
}

func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content)), Uname: content}
}

// packJar makes what the artifacts are: a tar.xz in a zip. A file's content is in its Uname.
func packJar(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var jar, txz bytes.Buffer
	packer, err := xz.NewWriter(&txz)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(packer)
	for _, e := range entries {
		content := e.Uname
		e.Uname = ""
		if err := archive.WriteHeader(&e); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if archive.Close() != nil || packer.Close() != nil {
		t.Fatal("packing")
	}
	z := zip.NewWriter(&jar)
	for name, content := range map[string][]byte{"META-INF/MANIFEST.MF": nil, "postgres-linux-x86_64.txz": txz.Bytes()} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

// goodJar holds scripts that run this machine's PostgreSQL.
func goodJar(t *testing.T) []byte {
	t.Helper()
	bin := fakeBinaries(t, filepath.Join(publicDir(t), "bin"), "17.6", "")
	var entries []tar.Header
	for _, name := range []string{"postgres", "initdb"} {
		script, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, file("./bin/"+name, string(script)))
	}
	library := tar.Header{Typeflag: tar.TypeSymlink, Name: "lib/libpq.so.5", Linkname: "libpq.so.5.17"}
	return packJar(t, append(entries, tar.Header{Typeflag: tar.TypeDir, Name: "./share/", Mode: 0o700}, file("lib/libpq.so.5.17", ""), library)...)
}

// resolveDownload resolves on a machine without PostgreSQL.
func resolveDownload(t *testing.T, config Config) (*cluster, error) {
	t.Helper()
	t.Setenv("TXISO_POSTGRES_BIN", "")
	return resolve(t.Context(), config, places{})
}

// A repository that stops in the middle of an answer, or never begins one, made every test wait forever.
func TestDownloadThatStandsStillEnds(t *testing.T) {
	for name, sent := range map[string]int{"nothing": 0, "half": 100} {
		t.Run(name, func(t *testing.T) {
			defer func(was time.Duration) { patience = was }(patience)
			patience = 100 * time.Millisecond
			silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, ".sha256") && sent > 0 {
					fmt.Fprintf(w, "%x", sha256.Sum256(nil))
					return
				}
				w.Header().Set("Content-Length", "200")
				_, _ = w.Write(make([]byte, sent))
				if sent > 0 {
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			}))
			t.Cleanup(silent.Close)
			config := newHome(t).config()
			config.DownloadURL = silent.URL
			_, err := resolveDownload(t, config)
			if !errors.Is(err, errStill) {
				t.Errorf("%v, want one that says that nothing has come", err)
			}
		})
	}
}

func TestDownloadedBinariesServe(t *testing.T) {
	jar := goodJar(t)
	r := newRepository(t, jar)
	for name, set := range map[string]func(*Config){
		"field":    func(c *Config) { c.DownloadURL = r.URL },
		"variable": func(*Config) { t.Setenv("TXISO_POSTGRES_URL", r.URL+"/") },
	} {
		h := newHome(t)
		config := h.config()
		set(&config)
		c, err := resolveDownload(t, config)
		if err != nil {
			t.Fatal(name, err)
		}
		s, err := c.start(t.Context())
		if err != nil {
			t.Fatal(name, err)
		}
		connect(t, s)
		if got := r.jars.Load(); got != 1 {
			t.Errorf("%s: %d downloads", name, got)
		}
		r.jars.Store(0)
		if again, err := resolveDownload(t, h.config()); err != nil || again.bin != c.bin { // without a URL: they are here
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
}

func TestManyDownloadOnce(t *testing.T) {
	jar := goodJar(t)
	r := newRepository(t, jar)
	home, account := publicDir(t), noProbes(t).account
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := thisMachine().get(t.Context(), r.URL, home, loadProbes(home, account)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := r.jars.Load(); got != 1 {
		t.Errorf("%d downloads", got)
	}
}

func TestDownloadAcceptsSHA512ButNothingWeakerThanSHA256(t *testing.T) {
	jar := goodJar(t)
	r := newRepository(t, jar)
	delete(r.files, ".jar.sha256")
	r.files[".jar.sha1"] = fmt.Appendf(nil, "%x", sha1.Sum(jar))
	config := newHome(t).config()
	config.DownloadURL = r.URL
	_, err := resolveDownload(t, config)
	wantError(t, err, errNotFound, "no .sha256 and no .sha512")
	r.files[".jar.sha512"] = fmt.Appendf(nil, "%x  some.jar\n", sha512.Sum512(jar))
	if _, err := resolveDownload(t, config); err != nil {
		t.Error(err)
	}
}

func TestDownloadsThatFail(t *testing.T) {
	good := goodJar(t)
	outside := filepath.Join(publicDir(t), "outside")
	for name, c := range map[string]struct {
		jar    []byte
		damage func(*repository)
		kind   error
		text   string
	}{
		"nothing there":     {good, func(r *repository) { clear(r.files) }, errNotFound, "check TXISO_POSTGRES_URL"},
		"checksum only":     {good, func(r *repository) { delete(r.files, ".jar") }, errNotFound, ".jar: not found"},
		"wrong checksum":    {good, func(r *repository) { r.files[".jar"] = append(good, 0) }, nil, "has the checksum"},
		"no checksum":       {good, func(r *repository) { r.files[".jar.sha256"] = []byte("<html>") }, nil, "holds no checksum"},
		"truncated archive": {good[:len(good)/2], nil, nil, "zip: not a valid zip file"},
		"truncated xz":      {repack(t, good, func(txz []byte) []byte { return txz[:len(txz)/2] }), nil, nil, "unexpected EOF"},
		"not xz":            {repack(t, good, func([]byte) []byte { return []byte("PK") }), nil, nil, "postgres-linux-x86_64.txz"},
		"no txz":            {repack(t, good, nil), nil, nil, "no .txz"},
		"empty":             {packJar(t), nil, fs.ErrNotExist, "do not run on this machine"},
		"does not run":      {packJar(t, file("bin/initdb", ""), file("bin/postgres", "#!/bin/sh\nexit 3\n")), nil, nil, "exit status 3"},
		"path upwards":      {packJar(t, file("bin/../../evil", "evil")), nil, errOutside, `"bin/../../evil"`},
		"absolute path":     {packJar(t, file(outside, "evil")), nil, errOutside, outside},
		"link upwards":      {packJar(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "lib/x", Linkname: "../../x"}), nil, errOutside, "lib/x"},
		"absolute link":     {packJar(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "lib", Linkname: "/etc"}), nil, errOutside, "lib"},
		"hard link upwards": {packJar(t, tar.Header{Typeflag: tar.TypeLink, Name: "x", Linkname: "../../../probes"}), nil, nil, "escapes"},
		"device":            {packJar(t, tar.Header{Typeflag: tar.TypeChar, Name: "x"}), nil, nil, "not expected"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			r := newRepository(t, c.jar)
			if c.damage != nil {
				c.damage(r)
			}
			config := h.config()
			config.DownloadURL = r.URL
			_, err := resolveDownload(t, config)
			wantError(t, err, c.kind, c.text, "download:", "Install PostgreSQL", "TXISO_POSTGRES_BIN", "TXISO_DSN")
			found, _ := filepath.Glob(filepath.Join(h.home, "binaries", "*"))
			if len(found) != 1 || filepath.Base(found[0]) != "lock" {
				t.Errorf("left behind: %v", found)
			}
			if _, err := os.Lstat(outside); err == nil {
				t.Error("written outside")
			}
		})
	}
}

// repack changes the .txz of a jar, or leaves it out.
func repack(t *testing.T, jar []byte, change func([]byte) []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	r, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		txz, err := fs.ReadFile(r, "postgres-linux-x86_64.txz")
		if err != nil {
			t.Fatal(err)
		}
		w, err := z.Create("postgres-linux-x86_64.txz")
		if err == nil {
			_, err = w.Write(change(txz))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDownloadErrorsKeepThePassword(t *testing.T) {
	r := newRepository(t, nil)
	clear(r.files)
	for _, url := range []string{strings.Replace(r.URL, "//", "//joe:s3cret@", 1), "http://joe:s3cret@127.0.0.1:1", "http://joe:s3cret@host:port%", "joe:s3cret@host"} {
		config := newHome(t).config()
		config.DownloadURL = url
		_, err := resolveDownload(t, config)
		wantError(t, err, nil, "download:")
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}

func TestDownloadStopsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-ctx.Done()
	}))
	defer slow.Close()
	home, account := publicDir(t), noProbes(t).account
	_, err := thisMachine().get(ctx, slow.URL, home, loadProbes(home, account))
	if err == nil || ctx.Err() == nil {
		t.Errorf("no error: %v", err)
	}
}
