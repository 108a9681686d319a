//go:build unix && !solaris && !aix

package pgserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxJar is several times what the largest artifact takes.
const maxJar = 512 << 20

// fetchVerified downloads a file that has its SHA-256 or SHA-512 beside it, as repositories in Maven's layout do. Nothing weaker will do.
func fetchVerified(ctx context.Context, from, to string) error {
	client := newClient()
	for _, sum := range []struct {
		suffix string
		hash   hash.Hash
	}{{".sha256", sha256.New()}, {".sha512", sha512.New()}} {
		want, err := fetchChecksum(ctx, client, from+sum.suffix, sum.hash.Size())
		if errors.Is(err, errNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		return fetchFile(ctx, client, from, to, sum.hash, want)
	}
	return fmt.Errorf("%s has no .sha256 and no .sha512 beside it: %w: check TXISO_POSTGRES_URL", redacted(from), errNotFound)
}

// newClient keeps no connection and so no goroutine.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport}
}

// patience is how long a download may stand still. How long it takes is up to the line.
var patience = 30 * time.Second

var (
	errNotFound = errors.New("not found")
	errStill    = errors.New("nothing has come for a while: try again, or install PostgreSQL")
)

// steady ends a download that stands still.
type steady struct {
	io.ReadCloser
	still *time.Timer
	end   context.CancelCauseFunc
}

func (s steady) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.still.Reset(patience)
	return n, err
}

func (s steady) Close() error {
	s.still.Stop()
	defer s.end(nil)
	return s.ReadCloser.Close()
}

func fetch(ctx context.Context, client *http.Client, from string) (body io.ReadCloser, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	still := time.AfterFunc(patience, func() { cancel(errStill) })
	defer func() {
		if err != nil {
			still.Stop()
			cancel(nil)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil || !strings.HasPrefix(request.URL.Scheme, "http") {
		return nil, errors.New("TXISO_POSTGRES_URL is not an http or https URL") // the error would quote it, with its password
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		return steady{response.Body, still, cancel}, nil
	case http.StatusNotFound:
		err = errNotFound
	default:
		err = errors.New(response.Status)
	}
	_ = response.Body.Close()
	return nil, fmt.Errorf("%s: %w", redacted(from), err)
}

// fetchChecksum reads "<hex>", which may be followed by a file name.
func fetchChecksum(ctx context.Context, client *http.Client, from string, size int) ([]byte, error) {
	body, err := fetch(ctx, client, from)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 4096))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", redacted(from), err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	sum, err := hex.DecodeString(first)
	if err != nil || len(sum) != size {
		return nil, fmt.Errorf("%s holds no checksum", redacted(from))
	}
	return sum, nil
}

func fetchFile(ctx context.Context, client *http.Client, from, to string, h hash.Hash, want []byte) error {
	body, err := fetch(ctx, client, from)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.Create(to)
	if err != nil {
		return homeError(to, err)
	}
	n, err := io.Copy(io.MultiWriter(file, h), io.LimitReader(body, maxJar))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("downloading %s: %w", redacted(from), err)
	}
	if got := h.Sum(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("%s (%d bytes) has the checksum %x, but its repository says %x: try again, or check TXISO_POSTGRES_URL", redacted(from), n, got, want)
	}
	return nil
}

func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(a malformed URL)"
	}
	return u.Redacted()
}
