package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guichet/internal/txn"
)

// Limits of mails that people ask for.
const (
	// MaxResends is how often an order's tickets are mailed again within ResendWindow.
	MaxResends   = 5
	ResendWindow = 24 * time.Hour
	// MaxSearches is how often one address is sent its tickets' link within SearchWindow.
	MaxSearches  = 3
	SearchWindow = time.Hour
	// MaxSignIns is how often one address is sent a link to sign in within SignInWindow.
	MaxSignIns   = 3
	SignInWindow = time.Hour
	// MaxFound is how many orders a search shows, the youngest.
	MaxFound = 50
)

// Service takes mails in.
type Service struct {
	Queue Queue
	Caps  Caps
}

// Enqueue queues a mail, in the transaction that ctx carries if it does. Queuing
// the same again changes nothing. A mail that a stranger caused and nobody waits for
// is left out beyond the caps.
func (s *Service) Enqueue(ctx context.Context, tx txn.Tx, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if over, err := s.tooMany(ctx, tx, &m); over || err != nil {
		return err
	}
	if err := s.Queue.Enqueue(ctx, tx, m); err != nil {
		return fmt.Errorf("queue mail %s: %w", m.Kind, err)
	}
	return nil
}

// Resend queues the mail once more, under a Message-ID of its own.
func (s *Service) Resend(ctx context.Context, tx txn.Tx, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if err := s.Allow(ctx, tx, m.To); err != nil {
		return err
	}
	m.Caused = true
	wait, err := s.Queue.Again(ctx, tx, m, "again-", MaxResends, ResendWindow)
	if err != nil {
		return fmt.Errorf("queue mail %s again: %w", m.Kind, err)
	}
	if wait > 0 {
		return ErrTooOften.With("an order's tickets are mailed again at most %d times in %s", MaxResends, ResendWindow).
			Field("limit", MaxResends).After(wait)
	}
	return nil
}

// Search queues a mail with a link to the address's orders. It does the same,
// whether there are any or not, so that nobody learns by asking who has tickets;
// and it says nothing of a limit for the same reason.
func (s *Service) Search(ctx context.Context, address, locale string) error {
	m := Message{Kind: FindMyTickets, To: address, Locale: locale, Caused: true}
	if err := m.Check(); err != nil {
		return err
	}
	if err := s.Allow(ctx, txn.None, address); errors.Is(err, ErrTooOften) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := s.Queue.Again(ctx, txn.None, m, "search-", MaxSearches, SearchWindow); err != nil {
		return fmt.Errorf("queue search for tickets: %w", err)
	}
	return nil
}

// PostSignIn queues a mail with a link that signs its reader in. It says nothing of a
// limit, so that nobody learns by asking who signs in by mail.
func (s *Service) PostSignIn(ctx context.Context, address, locale string) error {
	m := Message{Kind: SignIn, To: address, Locale: locale}
	if err := m.Check(); err != nil {
		return err
	}
	if _, err := s.Queue.Again(ctx, txn.None, m, "sign-in-", MaxSignIns, SignInWindow); err != nil {
		return fmt.Errorf("queue a link to sign in: %w", err)
	}
	return nil
}
