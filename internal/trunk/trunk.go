// Package trunk is the line between a cell's leaf and the hub: the names that
// both use, and what a cell may say and hear on it. The hub does the work in both
// directions: it reads a cell's OUT, and it writes what the others told into the
// cell's WORLD and the map into its bucket. A cell answers and nothing else, so
// it needs no right at the hub but to answer.
//
// The streams of the server itself (sources, mirrors) are not used on this line:
// who gathers from a stream sends flow control to whatever subject the other side
// names, with its own rights, so a compromised leaf could make the hub delete its
// streams (see docs/bus.md).
package trunk

// Streams and buckets of a leaf that the hub reads and writes.
const (
	Out     = "OUT"      // what the cell tells
	World   = "WORLD"    // what the others told
	Map     = "topology" // the bucket of the town's map
	MapKey  = "snapshot" // its only key
	mapKeys = "$KV." + Map + "."
)

// HeaderTold stands on each message in a leaf's WORLD and says which message of
// the hub's it is, so that the hub knows from the leaf itself where to go on.
const HeaderTold = "Guichet-Told"

// API is the prefix under which the JetStream of a cell is asked.
func API(cell string) string { return "$JS." + cell + ".API" }

// Replies is the prefix of the inboxes in which the hub waits for a cell's answers.
func Replies(cell string) string { return "cell." + cell + ".reply" }

// Told is the prefix on which the hub tells a cell what others told; what comes
// behind it is the subject in the leaf's WORLD.
func Told(cell string) string { return "cell." + cell + ".world." }

// Maps is the prefix on which the hub gives a cell the map.
func Maps(cell string) string { return "cell." + cell + ".map." }

// MapSubjects is the prefix under which the leaf's bucket keeps its keys.
func MapSubjects() string { return mapKeys }

// MayPublish is everything that a cell may send to the hub: answers to what the
// hub asked. It asks the hub nothing, so it needs nothing of the hub's JetStream.
func MayPublish(cell string) []string { return []string{Replies(cell) + ".>"} }

// MayReceive is everything that the hub sends to a cell.
func MayReceive(cell string) []string {
	api := API(cell)
	return []string{
		Told(cell) + ">",                         // what the others told
		Maps(cell) + MapKey,                      // the map
		api + ".STREAM.INFO." + Out,              // is it the OUT of yesterday?
		api + ".CONSUMER.CREATE." + Out + ".>",   // read it from where the hub stopped
		api + ".CONSUMER.MSG.NEXT." + Out + ".*", // the next messages of it
		api + ".STREAM.INFO." + World,            // is it there?
		api + ".STREAM.MSG.GET." + World,         // the last message there: where the hub goes on
	}
}
