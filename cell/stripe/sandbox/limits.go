package sandbox

import "time"

// Everything that could grow has its limit here. The oldest go first; what went
// is answered as missing, as Stripe answers after its own retention.
const (
	maxAccounts      = 64
	maxIntents       = 50_000 // per account
	maxCharges       = 50_000
	maxRefunds       = 50_000
	maxDisputes      = 10_000
	maxPayees        = 1_000
	maxEvents        = 20_000
	maxReplies       = 20_000
	maxBody          = 64 << 10 // bytes of a request's form
	maxParams        = 200      // fields of a request's form
	maxKey           = 255      // characters of an idempotency key, Stripe's limit
	maxMetadata      = 50       // entries, Stripe's limit
	maxMetadataKey   = 40
	maxMetadataValue = 500
	maxText          = 1000 // characters of a description
	maxAmount        = 999_999_999_999
	maxPage          = 100 // objects in a list, Stripe's limit
	defaultPage      = 10
	pageRows         = 100 // payments per account on the HTML page
)

const (
	replyTTL = 24 * time.Hour // how long Stripe remembers an idempotency key

	// Deliveries: tries of one copy double from retryBase to retryCap; about
	// three days' worth of tries at the cap, then the copy is given up, as Stripe does.
	defaultRetryBase = 200 * time.Millisecond
	retryCap         = 5 * time.Second
	maxTries         = 50_000
	maxInFlight      = 64 // webhooks under way per account; Stripe sends side by side too
	deliveryTimeout  = 10 * time.Second
	copyDelay        = 250 * time.Millisecond // a further copy follows within this
	reorderWindow    = time.Second            // with reorder, a delivery waits up to this
	defaultCopies    = 2
	maxCopies        = 20

	defaultSettleAfter = 3 * time.Second // how long a bank debit is processing
	disputeDue         = 7 * 24 * time.Hour
	disputeFee         = 1500 // minor units that Stripe keeps for a dispute, won or lost

	maxLatency = 60 * time.Second
	maxHang    = 60 * time.Second // how long timeout_after_effect keeps a caller waiting
)

const (
	maxRecord      = 4 << 20  // bytes of one journal line
	compactionSize = 64 << 20 // a journal is rewritten when it is larger than this and twice what it was after the last rewriting
)
