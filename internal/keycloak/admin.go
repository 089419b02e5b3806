package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const adminLimit = 4 << 20

// Admin makes one call to the realm's administration: path is below
// /admin/realms/guichet, in and out are JSON, nil for none.
func (s *Server) Admin(ctx context.Context, method, path string, in, out any) error {
	token, err := s.adminToken(ctx)
	if err != nil {
		return err
	}
	body := io.Reader(http.NoBody)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/admin/realms/guichet"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return send(req, out)
}

func (s *Server) adminToken(ctx context.Context) (string, error) {
	form := url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {s.AdminPassword}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/realms/master/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := send(req, &got); err != nil {
		return "", fmt.Errorf("sign in as Keycloak's administrator: %w", err)
	}
	return got.AccessToken, nil
}

func send(req *http.Request, out any) error {
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, adminLimit))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %.300s", req.Method, req.URL.Path, resp.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// Serve points the client guichet-cell at another site, so that one Keycloak serves
// the sites of many tests, one after the other.
func (s *Server) Serve(ctx context.Context, siteURL string) error {
	client, err := s.client(ctx, "guichet-cell")
	if err != nil {
		return err
	}
	client["redirectUris"] = []string{siteURL + "/account/callback"}
	attributes, ok := client["attributes"].(map[string]any)
	if !ok {
		return errors.New("the client has no attributes")
	}
	attributes["post.logout.redirect.uris"] = siteURL + "/account"
	attributes["backchannel.logout.url"] = siteURL + "/account/backchannel-logout"
	return s.Admin(ctx, http.MethodPut, fmt.Sprintf("/clients/%v", client["id"]), client, nil)
}

func (s *Server) client(ctx context.Context, id string) (map[string]any, error) {
	var found []map[string]any
	if err := s.Admin(ctx, http.MethodGet, "/clients?clientId="+url.QueryEscape(id), nil, &found); err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d clients are called %s", len(found), id)
	}
	return found[0], nil
}

// Rotate lets the realm sign with a new key. The old one is not published any more.
func (s *Server) Rotate(ctx context.Context) error {
	var realm struct {
		ID string `json:"id"`
	}
	if err := s.Admin(ctx, http.MethodGet, "", nil, &realm); err != nil {
		return err
	}
	var before []map[string]any
	if err := s.Admin(ctx, http.MethodGet, "/components?type=org.keycloak.keys.KeyProvider", nil, &before); err != nil {
		return err
	}
	err := s.Admin(ctx, http.MethodPost, "/components", map[string]any{
		"name": "rsa-" + time.Now().UTC().Format("150405.000"), "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "parentId": realm.ID, //nolint:forbidigo // a name
		"config": map[string][]string{"priority": {"1000"}, "algorithm": {"RS256"}, "keySize": {"2048"}},
	}, nil)
	if err != nil {
		return err
	}
	for _, c := range before {
		if c["providerId"] == "rsa-generated" {
			if err := s.Admin(ctx, http.MethodDelete, fmt.Sprintf("/components/%v", c["id"]), nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// LogOut ends all sessions of the person with an e-mail address, as an administrator
// does; Keycloak tells the clients over the back channel.
func (s *Server) LogOut(ctx context.Context, email string) error {
	var users []struct {
		ID string `json:"id"`
	}
	if err := s.Admin(ctx, http.MethodGet, "/users?exact=true&email="+url.QueryEscape(email), nil, &users); err != nil {
		return err
	}
	if len(users) != 1 {
		return fmt.Errorf("%d users have the address %s", len(users), email)
	}
	return s.Admin(ctx, http.MethodPost, "/users/"+users[0].ID+"/logout", nil, nil)
}
