// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/consul/api"
)

func (c Config) readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	if c.ReadFile != nil {
		return c.ReadFile(path)
	}
	return os.ReadFile(path)
}

// load reads the files, and fills in the rest of resolved. Consul's client would read them by itself. It returns the hash of the
// certificates and keys.
func (c Config) load(resolved *api.Config) (files [sha256.Size]byte, err error) {
	token, err := c.readToken(resolved)
	if err != nil {
		return files, err
	}
	tls := resolved.TLSConfig
	if files, err = c.readCertificates(&tls); err != nil {
		return files, err
	}
	if resolved.Transport.TLSClientConfig, err = api.SetupTLSConfig(&tls); err != nil {
		return files, err
	}
	resolved.TokenFile, resolved.Token = "", "see readToken" // so that the client reads no file
	if _, err := api.NewClient(resolved); err != nil {
		return files, err
	}
	resolved.Token = token
	return files, nil
}

// readToken returns the token. The precedence is that of Consul's client: TokenFile, Token, CONSUL_HTTP_TOKEN_FILE,
// CONSUL_HTTP_TOKEN. An empty file is an error, because Consul would take the requests for anonymous ones.
func (c Config) readToken(resolved *api.Config) (string, error) {
	path := c.TokenFile
	if path == "" && c.Token == "" {
		path = resolved.TokenFile // of the environment
	}
	data, err := c.readFile(path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	if token := bytes.TrimSpace(data); len(token) > 0 {
		return string(token), nil
	}
	if path != "" && c.Login.AuthMethod == "" {
		return "", fmt.Errorf("token file: %s is empty: write a token to it, or name no file to be anonymous", path)
	}
	return resolved.Token, nil
}

// tokenOrigin names where the token comes from, for messages.
func (c Config) tokenOrigin() string {
	file := c.TokenFile
	if file == "" && c.Token == "" {
		file = os.Getenv(api.HTTPTokenFileEnvName)
	}
	switch {
	case c.Login.AuthMethod != "":
		return "auth method " + c.Login.AuthMethod
	case file != "":
		return file
	case c.Token != "":
		return "--token"
	default:
		return api.HTTPTokenEnvName
	}
}

// readCertificates replaces the paths in t by what the files hold. It returns a hash of that.
func (c Config) readCertificates(t *api.TLSConfig) (hash [sha256.Size]byte, err error) {
	all := sha256.New()
	for _, file := range []struct {
		path *string
		data *[]byte
		read func(string) ([]byte, error)
	}{
		{&t.CAPath, &t.CAPem, c.readDirectory}, {&t.CAFile, &t.CAPem, c.readCA}, // the file takes precedence
		{&t.CertFile, &t.CertPEM, c.readFile}, {&t.KeyFile, &t.KeyPEM, c.readFile},
	} {
		if *file.path == "" {
			continue
		}
		data, err := file.read(*file.path)
		if err != nil {
			return hash, err
		}
		if len(data) == 0 {
			return hash, fmt.Errorf("%s: the file is empty", *file.path)
		}
		one := sha256.Sum256(data)
		all.Write(one[:])
		*file.path, *file.data = "", data
	}
	return [sha256.Size]byte(all.Sum(nil)), nil
}

func (c Config) readCA(path string) ([]byte, error) {
	data, err := c.readFile(path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
		err = fmt.Errorf("%s: no certificate in PEM", path)
	}
	return data, err
}

// readDirectory returns all certificates in the files of a directory.
func (c Config) readDirectory(path string) (all []byte, err error) {
	err = filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := c.readCA(path)
		all = append(append(all, data...), '\n')
		return err
	})
	return all, err
}
