package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"guichet/cell/account"
)

// revokedTimeout bounds one look at the list: it is asked for with each beat.
const revokedTimeout = time.Second

// errRevokedTooMany is said when the list in the map leaves something out.
var errRevokedTooMany = errors.New("MORE IS REVOKED THAN THE MAP CAN LIST: other cells accept some revoked keys or sessions; see docs/members.md")

// revocations tells the town what this cell revoked; join.Member asks for it. A database
// that does not answer changes nothing of what was told: nobody is admitted again by it.
func revocations(ctx context.Context, accounts *account.Service, report func(error)) func() []string {
	var mu sync.Mutex
	var last []string
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		bounded, cancel := context.WithTimeout(ctx, revokedTimeout)
		defer cancel()
		list, all, err := accounts.Revoked(bounded)
		if err != nil {
			report(err)
			return last
		}
		if !all {
			report(errRevokedTooMany)
		}
		last = list
		return list
	}
}
