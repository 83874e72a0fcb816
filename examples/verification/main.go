// Command verification asks Handset whether somebody has a phone: it has a code texted
// to the number on its command line, reads what the person types, and says how it
// ended. It uses nothing but the standard library; take from it what you need.
//
//	ISSUER         the provider (http://localhost:3000)
//	CLIENT_ID      a client of type non_interactive that may use ISSUER/verifications
//	CLIENT_SECRET  its secret
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verification +819012345678")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "verification: error:", err)
		os.Exit(1)
	}
}

// api calls Handset with a token of the application.
type api struct{ issuer, token string }

// verification is what the API says of one; a problem has a detail as well.
type verification struct {
	ID           string
	Status       any    // pending, approved, denied, expired; a problem's is a number
	PhoneNumber  string `json:"phone_number"`
	AttemptsLeft int    `json:"attempts_left"`
	Result       string
	Detail       string
}

func run(number string) error {
	a := api{issuer: strings.TrimRight(cmp.Or(os.Getenv("ISSUER"), "http://localhost:3000"), "/")}
	if err := a.authenticate(os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET")); err != nil {
		return err
	}
	v, err := a.post("/verifications", map[string]any{"phone_number": number, "purpose": "example"})
	if err != nil {
		return err
	}
	fmt.Println("A code was sent to", v.PhoneNumber)
	for v.Status == "pending" {
		fmt.Println("Code?")
		var code string
		if _, err := fmt.Scanln(&code); err != nil {
			return errors.New("no code was typed")
		}
		id := v.ID
		if v, err = a.post("/verifications/"+id+"/answers", map[string]any{"code": code}); err != nil {
			return err
		}
		v.ID = id
		if v.Status == "pending" {
			fmt.Println("Wrong. Tries left:", v.AttemptsLeft)
		}
	}
	if v.Status != "approved" {
		return fmt.Errorf("the verification is %v", v.Status)
	}
	// A front end would hand the result to its back end, which does this.
	proof, err := a.post("/verifications/results", map[string]any{"result": v.Result})
	if err != nil {
		return err
	}
	fmt.Println("Verified", proof.PhoneNumber)
	return nil
}

// authenticate gets a token for the API (RFC 6749 §4.4). It is good for a while: a
// server keeps it until it expires.
func (a *api) authenticate(id, secret string) error {
	res, err := client.PostForm(a.issuer+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "audience": {a.issuer + "/verifications"},
	})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Token       string `json:"access_token"`
		Error       string
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if answer.Error != "" {
		return fmt.Errorf("token: %s: %s", answer.Error, answer.Description)
	}
	a.token = answer.Token
	return nil
}

// client waits longer than Handset waits for a text to be taken.
var client = &http.Client{Timeout: 30 * time.Second}

func (a *api) post(path string, body any) (v verification, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return v, err
	}
	req, err := http.NewRequest(http.MethodPost, a.issuer+path, bytes.NewReader(text))
	if err != nil {
		return v, err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("%s: status %d: %w", path, res.StatusCode, err)
	}
	if res.StatusCode >= 400 {
		return v, errors.New(v.Detail)
	}
	return v, nil
}
