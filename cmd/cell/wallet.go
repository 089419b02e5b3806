package main

import (
	"fmt"
	"os"

	"guichet/cell/api"
	"guichet/cell/ticket/wallet"
	"guichet/internal/config"
)

// walletSettings say for which wallets passes are made, and where their keys are.
type walletSettings struct {
	name             string // GUICHET_WALLET_NAME, who issues passes
	appleType        string // GUICHET_APPLE_PASS_TYPE; empty makes no passes for Apple's wallet
	appleTeam        string // GUICHET_APPLE_TEAM
	appleCertificate string // GUICHET_APPLE_PASS_CERTIFICATE, a PEM file of certificate and key
	appleWWDR        string // GUICHET_APPLE_WWDR, a PEM file
	googleIssuer     string // GUICHET_GOOGLE_WALLET_ISSUER; empty makes none for Google's
	googleAccount    string // GUICHET_GOOGLE_WALLET_ACCOUNT, a service account's JSON file
}

func configureWallets(r *config.Reader) walletSettings {
	w := walletSettings{
		name: r.Text("GUICHET_WALLET_NAME", "Guichet"), appleType: r.Text("GUICHET_APPLE_PASS_TYPE", ""), googleIssuer: r.Text("GUICHET_GOOGLE_WALLET_ISSUER", ""),
	}
	if w.appleType != "" {
		w.appleTeam = r.Required("GUICHET_APPLE_TEAM", "the team of the pass type")
		w.appleCertificate = r.Required("GUICHET_APPLE_PASS_CERTIFICATE", "a PEM file with the pass type's certificate and its key")
		w.appleWWDR = r.Required("GUICHET_APPLE_WWDR", "a PEM file with Apple's intermediate certificate")
	}
	if w.googleIssuer != "" {
		w.googleAccount = r.Required("GUICHET_GOOGLE_WALLET_ACCOUNT", "the JSON key file of a service account")
	}
	return w
}

// wallets reads the keys of the wallets that are configured.
func wallets(cfg walletSettings) (api.Wallets, error) {
	var out api.Wallets
	if cfg.appleType != "" {
		own, err := os.ReadFile(cfg.appleCertificate)
		if err != nil {
			return out, fmt.Errorf("read Apple pass certificate: %w", err)
		}
		between, err := os.ReadFile(cfg.appleWWDR)
		if err != nil {
			return out, fmt.Errorf("read Apple intermediate certificate: %w", err)
		}
		if out.Apple, err = wallet.NewApple(cfg.appleType, cfg.appleTeam, cfg.name, own, between); err != nil {
			return out, err
		}
	}
	if cfg.googleIssuer != "" {
		account, err := os.ReadFile(cfg.googleAccount)
		if err != nil {
			return out, fmt.Errorf("read Google service account: %w", err)
		}
		if out.Google, err = wallet.NewGoogle(cfg.googleIssuer, cfg.name, account); err != nil {
			return out, err
		}
	}
	return out, nil
}
