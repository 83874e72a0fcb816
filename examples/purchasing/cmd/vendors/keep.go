package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/handset-oidc/handset/resource"
)

// errNoLogin says that there is none, or one at another Handset.
var errNoLogin = errors.New("not logged in")

// keeper keeps the refresh token in a file that only its owner can read. It remembers
// whose token it is: it must go to no other issuer.
type keeper struct {
	file     string
	issuer   string
	clientID resource.ClientID
}

// kept is what the file says.
type kept struct {
	Issuer       string            `json:"issuer"`
	ClientID     resource.ClientID `json:"client_id"`
	RefreshToken string            `json:"refresh_token"` // a resource.Secret would not write itself
}

func loginFile(getenv func(string) string) (string, error) {
	if file := getenv("VENDORS_LOGIN"); file != "" {
		return file, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("nowhere to keep the login (set VENDORS_LOGIN): %w", err)
	}
	return filepath.Join(dir, "handset-vendors", "login.json"), nil
}

func (k keeper) load() (resource.Secret, error) {
	text, err := os.ReadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoLogin
	}
	if err != nil {
		return "", err
	}
	var is kept
	if err := json.Unmarshal(text, &is); err != nil {
		return "", fmt.Errorf("%s is damaged; log in again", k.file)
	}
	if is.Issuer != k.issuer || is.ClientID != k.clientID || is.RefreshToken == "" {
		return "", errNoLogin
	}
	return resource.Secret(is.RefreshToken), nil
}

// keep writes beside the file and renames, so that the token before is there until
// this one is.
func (k keeper) keep(_ context.Context, token resource.Secret) error {
	text, err := json.Marshal(kept{k.issuer, k.clientID, string(token)})
	if err != nil {
		return err
	}
	dir := filepath.Dir(k.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".login-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), k.file)
}

func (k keeper) forget() error { return os.Remove(k.file) }
