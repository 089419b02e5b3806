package access

import "slices"

// Role is what a member is at an organizer.
type Role string

// The roles, from the widest.
const (
	Owner   Role = "owner"   // everything, the other owners included
	Admin   Role = "admin"   // everything but owners
	Events  Role = "events"  // events, stock, codes, seats, policies
	Orders  Role = "orders"  // orders, refunds, attendees
	Finance Role = "finance" // revenue, payouts, invoices
	Door    Role = "door"    // check-in
	Reader  Role = "reader"  // figures, without persons
)

// Roles are all of them, from the widest.
var Roles = []Role{Owner, Admin, Events, Orders, Finance, Door, Reader}

// Valid reports whether there is such a role.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// Permission is what a call of an organizer needs.
type Permission string

// The permissions. Each call of the contract names one.
const (
	ReadEvents   Permission = "events:read"    // drafts, stock, codes, seats
	WriteEvents  Permission = "events:write"   // change them
	ReadStats    Permission = "stats:read"     // figures without persons
	ReadOrders   Permission = "orders:read"    // orders, attendees: personal data
	WriteOrders  Permission = "orders:write"   // refund and cancel for buyers
	ReadFinance  Permission = "finance:read"   // payouts
	WriteFinance Permission = "finance:write"  // payment account and payment policy
	ReadLedger   Permission = "ledger:read"    // the inventory ledger
	Scan         Permission = "door:scan"      // check-in
	ReadMembers  Permission = "members:read"   // who is a member, invitations
	WriteMembers Permission = "members:write"  // invite, change roles, remove
	WriteKeys    Permission = "api_keys:write" // make, rotate and revoke API keys
	ReadAudit    Permission = "audit:read"     // who changed what
)

// Permissions are all of them.
var Permissions = []Permission{
	ReadEvents, WriteEvents, ReadStats, ReadOrders, WriteOrders, ReadFinance, WriteFinance,
	ReadLedger, Scan, ReadMembers, WriteMembers, WriteKeys, ReadAudit,
}

// matrix says what each role may. Owners and admins may the same; that an admin cannot
// make or remove owners is a rule about members, not about calls.
var matrix = map[Role][]Permission{
	Owner:   Permissions,
	Admin:   Permissions,
	Events:  {ReadEvents, WriteEvents, ReadStats, ReadLedger},
	Orders:  {ReadEvents, ReadStats, ReadOrders, WriteOrders},
	Finance: {ReadEvents, ReadStats, ReadOrders, ReadFinance, WriteFinance, ReadLedger},
	Door:    {Scan},
	Reader:  {ReadEvents, ReadStats},
}

// May reports whether members with the role may do what a call needs.
func (r Role) May(p Permission) bool { return slices.Contains(matrix[r], p) }

// Of are the permissions of a role.
func (r Role) Of() []Permission { return slices.Clone(matrix[r]) }
