package issuer

// Person is somebody who can be chosen.
type Person struct {
	Subject  string
	Name     string
	Email    string
	Verified bool
	Roles    []string // as the claim roles says them
	ACR      string
	About    string
}

// Demo are the people of a town. Their addresses end in example.org, which belongs to
// nobody (RFC 2606).
func Demo() []Person {
	return []Person{
		{Subject: "demo-olivia", Name: "Olivia Owner", Email: "olivia@example.org", Verified: true, About: "owns an organizer"},
		{Subject: "demo-felix", Name: "Felix Finance", Email: "felix@example.org", Verified: true, About: "does an organizer's books"},
		{Subject: "demo-dora", Name: "Dora Door", Email: "dora@example.org", Verified: true, About: "stands at the door"},
		{Subject: "demo-ada", Name: "Ada Attendee", Email: "ada@example.org", Verified: true, About: "goes to events"},
		{Subject: "demo-oscar", Name: "Oscar Operator", Email: "oscar@example.org", Verified: true, Roles: []string{"guichet-operator"}, ACR: "2", About: "operates the platform; proved it with a second factor"},
		{Subject: "demo-drew", Name: "Drew Drill", Email: "drew@example.org", Verified: true, Roles: []string{"guichet-drill"}, ACR: "2", About: "breaks the platform on purpose"},
		{Subject: "demo-uma", Name: "Uma Unverified", Email: "uma@example.org", About: "never confirmed her address, and cannot sign in"},
	}
}
