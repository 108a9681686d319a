//go:build unix && !solaris && !aix

package pgserver

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// maxUnpacked is several times what the largest artifact holds.
const maxUnpacked = 2 << 30

// unpackJar unpacks the tar.xz in a jar into a new directory.
func unpackJar(jar, dir string) error {
	archive, err := zip.OpenReader(jar)
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, entry := range archive.File {
		if strings.HasSuffix(entry.Name, ".txz") {
			return unpackEntry(entry, dir)
		}
	}
	return errors.New("the jar has no .txz in it")
}

func unpackEntry(entry *zip.File, dir string) error {
	packed, err := entry.Open()
	if err != nil {
		return err
	}
	defer packed.Close()
	plain, err := xz.NewReader(packed)
	if err != nil {
		return fmt.Errorf("%s: %w", entry.Name, err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return homeError(dir, err)
	}
	root, err := os.OpenRoot(dir) // nothing is written outside, whatever names and links the archive has
	if err != nil {
		return homeError(dir, err)
	}
	defer root.Close()
	if err := unpackTar(plain, root); err != nil {
		return fmt.Errorf("%s: %w", entry.Name, err)
	}
	return openDirs(dir)
}

// openDirs lets the server's account into every directory, whatever our umask.
func openDirs(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o755)
	})
}

func unpackTar(r io.Reader, root *os.Root) error {
	limited := &io.LimitedReader{R: r, N: maxUnpacked}
	for archive := tar.NewReader(limited); ; {
		header, err := archive.Next()
		if err == io.EOF && limited.N > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackFile(archive, header, root); err != nil {
			return fmt.Errorf("%q: %w", header.Name, err)
		}
	}
}

var errOutside = errors.New("refused, because it leads out of the archive")

func unpackFile(content io.Reader, header *tar.Header, root *os.Root) error {
	name := path.Clean(header.Name)
	if !filepath.IsLocal(name) {
		return errOutside
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		return writeContent(content, root, name, os.FileMode(header.Mode)&0o100)
	case tar.TypeSymlink:
		if path.IsAbs(header.Linkname) || !filepath.IsLocal(path.Join(path.Dir(name), header.Linkname)) {
			return errOutside
		}
		return root.Symlink(header.Linkname, name)
	case tar.TypeLink:
		return root.Link(path.Clean(header.Linkname), name)
	}
	return fmt.Errorf("entries of type %q are not expected", header.Typeflag)
}

// writeContent makes a file that everybody may read, and run if its owner may.
func writeContent(content io.Reader, root *os.Root, name string, ownerRuns os.FileMode) error {
	mode := os.FileMode(0o644)
	if ownerRuns != 0 {
		mode = 0o755
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Chmod(mode), file.Close()) // the mode whatever the umask
}
