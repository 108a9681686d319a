package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/pgserver"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// server is one that txiso knows. Its field names in JSON are fixed.
type server struct {
	Kind    string `json:"kind"` // embedded or external
	Running bool   `json:"running"`
	Version string `json:"version"` // of PostgreSQL
	Address string `json:"address"` // host:port, or the directory of its unix socket

	// Of an embedded one only.
	Name     string `json:"name,omitempty"`
	Process  int    `json:"process,omitempty"` // 0 if it does not run
	Data     string `json:"data,omitempty"`
	Log      string `json:"log,omitempty"`
	Programs string `json:"programs,omitempty"`

	// Of one that runs only.
	Started        time.Time            `json:"started,omitzero"`
	Connections    int                  `json:"connections"`
	MaxConnections int                  `json:"max_connections"`
	Databases      *provision.Databases `json:"databases"`

	dsn    string
	report *provision.Report
}

// servers looks at the external server, or at all embedded ones. It starts none.
func (c *call) servers(ctx context.Context) ([]*server, error) {
	if c.dsn != "" {
		s := &server{Kind: "external", Running: true, dsn: c.dsn}
		return []*server{s}, s.inspect(ctx)
	}
	found, err := pgserver.Find(ctx, pgserver.Config{})
	if err != nil {
		return nil, err
	}
	servers := make([]*server, 0, len(found))
	for _, f := range found {
		s := embedded(f)
		if err := s.inspectRunning(ctx); err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func embedded(f pgserver.Status) *server {
	return &server{
		Kind: "embedded", Running: f.Running, Version: f.Version, Address: f.SocketDir, Started: f.Started, dsn: f.DSN,
		Name: f.Name, Process: f.PID, Data: f.DataDir, Log: f.LogFile, Programs: f.BinDir,
	}
}

func (s *server) inspect(ctx context.Context) error {
	r, err := provision.Inspect(ctx, s.dsn)
	if err != nil {
		return err
	}
	s.report, s.Databases = r, &r.Databases
	s.Version, s.Address, s.Started, s.Connections, s.MaxConnections = r.Version, r.Address, r.Started, r.Connections, r.MaxConnections
	return nil
}

// inspectRunning looks at an embedded server, which may stop by itself just now.
func (s *server) inspectRunning(ctx context.Context) error {
	if !s.Running {
		return nil
	}
	err := s.inspect(ctx)
	if err == nil {
		return nil
	}
	again, findErr := pgserver.Find(ctx, pgserver.Config{})
	for _, f := range again {
		if f.Name == s.Name && f.PID == s.Process {
			return err
		}
	}
	s.Running, s.Process, s.Started, s.dsn = false, 0, time.Time{}, ""
	return findErr
}

// started is servers, with the embedded one that tests would use among them: if it has been there before, it is started.
func (c *call) started(ctx context.Context) ([]*server, error) {
	if c.dsn == "" {
		if err := startKnown(ctx); err != nil {
			return nil, err
		}
	}
	return c.servers(ctx)
}

func startKnown(ctx context.Context) error {
	found, err := pgserver.Find(ctx, pgserver.Config{})
	if err != nil || len(found) == 0 {
		return err
	}
	usual, err := pgserver.Inspect(ctx, pgserver.Config{})
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Name == usual.Name {
			_, err := pgserver.Start(ctx, pgserver.Config{}) // also if it runs: now it stays for its idle time
			return err
		}
	}
	return nil
}

// nowhere says that no embedded server has ever been started.
func nowhere() (string, error) {
	home, err := pgserver.Home(pgserver.Config{})
	return fmt.Sprintf("no embedded server has been started in %s yet: the first test starts one", home), err
}

var errExternal = errors.New("txiso: the DSN (-dsn or TXISO_DSN) names a server that txiso has not started: stop it by its own means, or unset TXISO_DSN to stop the embedded one")
