package api

import (
	"net/http"

	"guichet/cell/access"
	"guichet/cell/client"
)

// auditParams choose entries of the audit log.
var auditParams = append([]param{
	{"event_id", "string", ""},
	{"actor", "string", "id of a member, an API key or an operator's token"},
	{"from", "string", "date or RFC 3339 time"},
	{"to", "string", "date or RFC 3339 time, not included"},
}, page...)

// acceptPath is where invitations are accepted.
const acceptPath = "/v1/invitations/accept"

// accountRoutes are who may do what at an organizer. All but the audit log are served by
// the cell where the organizer was born.
var accountRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/members", handle: (*Server).listMembers, auth: organizer, need: access.ReadMembers, out: Page[client.Member]{}, status: 200, params: page,
		doc: "The organizer's members.", problems: "invalid_id forbidden invalid_cursor invalid_parameter moved",
	},
	{
		method: http.MethodPut, path: "/v1/organizers/{organizer_id}/members/{member_id}", handle: (*Server).putMember, auth: organizer, need: access.WriteMembers, key: keyOptional, in: client.PutMember{}, out: client.Member{}, status: 200,
		doc:      "Give a member another role. Nobody gives or takes a role that allows more than his own; one owner remains.",
		problems: "invalid_id forbidden not_a_member member_not_found invalid_member last_owner moved",
	},
	{
		method: http.MethodDelete, path: "/v1/organizers/{organizer_id}/members/{member_id}", handle: (*Server).removeMember, auth: organizer, need: access.WriteMembers, status: 204,
		doc: "Remove a member. Open invitations that he made go with him; one owner remains.", problems: "invalid_id forbidden not_a_member member_not_found last_owner moved",
	},
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/invitations", handle: (*Server).listInvitations, auth: organizer, need: access.ReadMembers, out: Page[client.Invitation]{}, status: 200, params: page,
		doc: "The organizer's invitations, those that ended within 30 days included.", problems: "invalid_id forbidden invalid_cursor invalid_parameter moved",
	},
	{
		method: http.MethodPost, path: "/v1/organizers/{organizer_id}/invitations", handle: (*Server).createInvitation, auth: organizer, need: access.WriteMembers, key: keyRequired, in: client.NewInvitation{}, out: client.Invitation{}, status: 201,
		doc:      "Invite somebody by mail, for seven days. Nobody invites to a role that allows more than his own.",
		problems: "invalid_id forbidden not_a_member invalid_invitation already_a_member already_invited too_many_members too_many_invitations invitation_limit moved",
	},
	{
		method: http.MethodDelete, path: "/v1/organizers/{organizer_id}/invitations/{invitation_id}", handle: (*Server).withdrawInvitation, auth: organizer, need: access.WriteMembers, status: 204,
		doc: "Withdraw an invitation that nobody has accepted. Doing it again changes nothing.", problems: "invalid_id forbidden not_a_member invitation_not_found moved",
	},
	{
		method: http.MethodPost, path: acceptPath, handle: (*Server).acceptInvitation, auth: signedIn, key: keyOptional, in: client.AcceptInvitation{}, out: client.Joined{}, status: 200,
		doc:      "Become a member by the token of an invitation's mail. The issuer must have verified that the invited address is the person's. Doing it again changes nothing.",
		params:   []param{{"cell", "string", "whose invitation it is, for the router"}},
		problems: "invitation_not_found other_address invalid_member too_many_members moved",
	},
	{
		method: http.MethodPost, path: "/v1/organizers/{organizer_id}/membership", handle: (*Server).issueMembership, auth: signedIn, quiet: true, out: client.MembershipToken{}, status: 200,
		doc:      "A token that shows at every cell what the person who signed in is at the organizer, for 15 minutes. 403 second_factor_required says with which required_acr to sign in.",
		problems: "invalid_id not_a_member second_factor_required moved",
	},
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/security", handle: (*Server).getSecurity, auth: organizer, need: access.ReadMembers, out: client.Security{}, status: 200,
		doc: "How members must sign in.", problems: "invalid_id forbidden moved",
	},
	{
		method: http.MethodPut, path: "/v1/organizers/{organizer_id}/security", handle: (*Server).putSecurity, auth: organizer, need: access.WriteMembers, in: client.Security{}, out: client.Security{}, status: 200,
		doc:      "Demand that members' sign-in asserts an authentication context class (acr), like a second factor. Only an owner who signed in with it may; empty demands nothing.",
		problems: "invalid_id forbidden not_a_member invalid_security second_factor_required moved",
	},
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/api_keys", handle: (*Server).listAPIKeys, auth: organizer, need: access.WriteKeys, out: Page[client.APIKey]{}, status: 200, params: page,
		doc: "The organizer's API keys, without their texts.", problems: "invalid_id forbidden invalid_cursor invalid_parameter moved",
	},
	{
		method: http.MethodPost, path: "/v1/organizers/{organizer_id}/api_keys", handle: (*Server).createAPIKey, auth: organizer, need: access.WriteKeys, key: keyRequired, in: client.NewAPIKey{}, out: client.APIKey{}, status: 201,
		doc:      "Make an API key with a role or with permissions, none of which its maker lacks. Its text is in this answer alone; a repetition with the same Idempotency-Key shows it again.",
		problems: "invalid_id forbidden not_a_member invalid_api_key too_many_api_keys moved",
	},
	{
		method: http.MethodPost, path: "/v1/organizers/{organizer_id}/api_keys/{key_id}/rotate", handle: (*Server).rotateAPIKey, auth: organizer, need: access.WriteKeys, key: keyRequired, in: client.RotateAPIKey{}, out: client.APIKey{}, status: 201,
		doc:      "Make a key of the same name and scope that takes this one's place; this one goes on for the grace.",
		problems: "invalid_id forbidden not_a_member api_key_not_found api_key_ended invalid_api_key too_many_api_keys moved",
	},
	{
		method: http.MethodDelete, path: "/v1/organizers/{organizer_id}/api_keys/{key_id}", handle: (*Server).revokeAPIKey, auth: organizer, need: access.WriteKeys, status: 204,
		doc: "Revoke a key: here at once, everywhere within five seconds. Doing it again changes nothing.", problems: "invalid_id forbidden not_a_member api_key_not_found moved",
	},
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/audit", handle: (*Server).organizerAudit, auth: organizer, need: access.ReadAudit, out: Page[client.AuditEntry]{}, status: 200,
		doc:      "What this cell knows of who changed what of the organizer's, newest first. Each home of his events keeps a log of its own.",
		params:   append([]param{{"home_region", "string", "default: the organizer's"}}, auditParams...),
		problems: "invalid_id forbidden invalid_cursor invalid_parameter unknown_region moved",
	},
	{
		method: http.MethodGet, path: "/v1/audit", handle: (*Server).operatorAudit, auth: operators, out: Page[client.AuditEntry]{}, status: 200,
		doc:      "This cell's audit log, newest first.",
		params:   append([]param{{"cell", "string", "whose log, for the router"}, {"organizer_id", "string", ""}}, auditParams...),
		problems: "invalid_cursor invalid_parameter",
	},
}
