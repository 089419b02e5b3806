package hub_test

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"guichet/control-plane/hub"
	"guichet/control-plane/topology"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

func TestHub_hasNoPortForClientsAndItsLeafPortServesNone(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	if at := w.hub.ClientAddr(); at != "" {
		t.Errorf("clients are served at %s", at)
	}
	for _, opts := range [][]nats.Option{{}, {nats.UserInfo("leaf", "s3cret")}, {nats.Token("x")}} {
		conn, err := nats.Connect("nats://"+w.hub.LeafAddr(), opts...)
		if err == nil {
			conn.Close()
			t.Error("a client came in by the leaves' door")
		}
	}
}

func TestDoor_refusesByNameAndCounts(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	stranger := newKey(t)
	for what, c := range map[string]struct {
		who          introduction
		cell, reason string
	}{
		"nothing shown":      {introduction{name: "leaf-euw3"}, "euw3", hub.ErrUnproved.Code},
		"not signed":         {introduction{name: "leaf-euw3", nkey: w.keys["euw3"].public}, "euw3", hub.ErrUnproved.Code},
		"signed by another":  {introduction{name: "leaf-use1", nkey: w.keys["use1"].public, seed: stranger.seed}, "use1", hub.ErrUnproved.Code},
		"a spoilt signature": {introduction{name: "leaf-apn1", nkey: w.keys["apn1"].public, seed: w.keys["apn1"].seed, spoil: true}, "apn1", hub.ErrUnproved.Code},
		"another cell's key": {introduction{name: "leaf-use1", nkey: w.keys["euw3"].public, seed: w.keys["euw3"].seed}, "use1", hub.ErrForeignNKey.Code},
		"an unknown key":     {introduction{name: "leaf-euw3", nkey: stranger.public, seed: stranger.seed}, "euw3", hub.ErrUnknownNKey.Code},
		"an unknown cell":    {introduction{name: "leaf-sae1", nkey: stranger.public, seed: stranger.seed}, "unknown", hub.ErrUnknownCell.Code},
		"no cell's name":     {introduction{name: "hub", nkey: w.keys["euw3"].public, seed: w.keys["euw3"].seed}, "unknown", hub.ErrUnknownCell.Code},
	} {
		before := w.count("guichet_hub_leaves_refused_total", c.cell, c.reason)
		r := w.raw(c.who)
		w.eventually(what+" is refused", func() bool { return r.cutOff() && r.said("-ERR") })
		if n := w.count("guichet_hub_leaves_refused_total", c.cell, c.reason) - before; n != 1 {
			t.Errorf("%s: counted %v times as %s of %s", what, n, c.reason, c.cell)
		}
	}
	for _, want := range []string{"cell=use1", "nkey_of_another_cell", "euw3's", "cell=unknown"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, w.log)
		}
	}
	if w.hub.Leaves() != 0 {
		t.Errorf("%d leaves", w.hub.Leaves())
	}
}

// A cell that was taken over has its own nkey. It keeps to no rule; what the hub
// does not enforce it may do.
func TestAttack_aCellThatWasTakenOverSpeaksForNobodyElse(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	victim, witness := w.leaf("use1"), w.leaf("apn1")
	w.publishMap(&topology.Snapshot{Version: 7})
	victim.tell(t, "glb.catalog.use1."+evt("use1", 1), "Tosca", "use1-1-1")
	w.eventually("the town works", func() bool {
		kv, err := witness.js.KeyValue(t.Context(), trunk.Map)
		if err != nil {
			return false
		}
		_, err = kv.Get(t.Context(), trunk.MapKey)
		return err == nil && len(witness.heard(t)) == 1
	})
	attempts := []string{
		"glb.catalog.use1." + evt("use1", 1), "glb.avail.use1", "cell.use1.evt.order.o.paid", // as the other cell
		"glb.catalog.euw3." + evt("euw3", 1),                                                                        // past the gate
		"told.use1.glb.avail.use1", "cell.apn1.world.glb.avail.use1", "cell.use1.map.snapshot", "cell.use1.reply.x", // as the hub
		"$KV.topology.snapshot", "$JS.API.STREAM.DELETE.TOLD_use1", "$JS.hub.API.STREAM.DELETE.TOLD_use1", "$JS.hub.API.STREAM.PURGE.KV_topology",
		"$JS.hub.API.CONSUMER.CREATE.TOLD_use1", "$JS.hub.API.STREAM.MSG.GET.TOLD_use1", "$JS.use1.API.STREAM.DELETE.OUT", "$JS.apn1.API.STREAM.PURGE.WORLD",
		"$JS.FC.TOLD_use1.x.y", "_INBOX.x", "$SYS.REQ.SERVER.PING",
	}
	for _, asHub := range []bool{false, true} {
		for _, subject := range attempts {
			before := w.count("guichet_hub_violations_total", "euw3")
			r := w.raw(introduction{name: "leaf-euw3", nkey: w.keys["euw3"].public, seed: w.keys["euw3"].seed, hub: asHub})
			w.eventually("it is let in", func() bool { return r.said("PONG") || r.said("LS+") })
			r.publish(subject, "cell.euw3.reply.answer", `{"version":99}`)
			r.send("PING\r\n")
			if asHub { // the server drops what it does not allow and goes on
				r.publish("cell.euw3.reply.x", "", "still here")
				continue
			}
			w.eventually("it is cut off for "+subject, r.cutOff)
			w.eventually("that is counted", func() bool { return w.count("guichet_hub_violations_total", "euw3") > before })
		}
	}
	if !strings.Contains(w.log.String(), "cell=euw3") || !strings.Contains(w.log.String(), "Publish Violation") {
		t.Errorf("the log does not name the cell and the attempt:\n%s", w.log)
	}
	// After all that the town is as it was, and works.
	victim.tell(t, "glb.catalog.use1."+evt("use1", 2), "Norma", "use1-1-2")
	w.eventually("the other two still hear each other", func() bool { return witness.heard(t)["glb.catalog.use1."+evt("use1", 2)] == "Norma" })
	if heard := witness.heard(t); len(heard) != 2 || heard["glb.catalog.use1."+evt("use1", 1)] != "Tosca" {
		t.Errorf("the witness heard %v", heard)
	}
	if n := len(all(t, victim.js, trunk.Out)); n != 2 {
		t.Errorf("%d messages in the victim's OUT", n)
	}
	if text, err := w.hub.Latest(t.Context()); err != nil || !strings.Contains(string(text), `"version":7`) {
		t.Errorf("the map is %s, %v", text, err)
	}
	kv, err := witness.js.KeyValue(t.Context(), trunk.Map)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(t.Context(), trunk.MapKey); err != nil || strings.Contains(string(e.Value()), "99") {
		t.Errorf("the witness's map: %v", err)
	}
}

func TestAttack_aCellThatWasTakenOverHearsNothingThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	for _, asHub := range []bool{false, true} {
		r := w.raw(introduction{name: "leaf-euw3", nkey: w.keys["euw3"].public, seed: w.keys["euw3"].seed, hub: asHub})
		w.eventually("it is let in", func() bool { return r.said("PONG") || r.said("LS+") })
		for _, subject := range []string{">", "*.>", "cell.>", "cell.*.*.>", "told.>", "glb.>", "$JS.>", "$KV.>", "_INBOX.>", "$SYS.>"} {
			r.send("LS+ " + subject + "\r\n")
		}
		r.send("PING\r\n")
		w.eventually("its own line is served", func() bool { return strings.Contains(r.text(), "LMSG $JS.euw3.API.STREAM.INFO.OUT") })
	}
	a, b := w.leaf("use1"), w.leaf("apn1")
	spy := w.raw(introduction{name: "leaf-euw3", nkey: w.keys["euw3"].public, seed: w.keys["euw3"].seed})
	spy.send("LS+ >\r\nLS+ cell.>\r\nLS+ $JS.>\r\n")
	for i := range 5 {
		a.tell(t, "glb.catalog.use1."+evt("use1", i), "Tosca", fmt.Sprint("use1-1-", i))
	}
	w.publishMap(&topology.Snapshot{Version: 8})
	w.eventually("the others hear each other", func() bool { return len(b.heard(t)) == 5 })
	for line := range strings.SplitSeq(spy.text(), "\n") {
		subject, isMessage := strings.CutPrefix(line, "LMSG ")
		if isMessage && !strings.HasPrefix(subject, "cell.euw3.") && !strings.HasPrefix(subject, "$JS.euw3.API.") {
			t.Errorf("the spy was sent %q", line)
		}
	}
}

// An attacker at the other end of a line may send whatever it likes as an answer.
// Server-side sources would answer its flow control with the hub's own rights.
func TestAttack_theHubAnswersNothingThatALeafNames(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	victim, witness := w.leaf("use1"), w.leaf("apn1")
	victim.tell(t, "glb.catalog.use1."+evt("use1", 1), "Tosca", "use1-1-1")
	w.eventually("the town works", func() bool { return len(witness.heard(t)) == 1 })
	r := w.raw(introduction{name: "leaf-euw3", nkey: w.keys["euw3"].public, seed: w.keys["euw3"].seed})
	r.send("LS+ $JS.euw3.API.>\r\nLS+ cell.euw3.>\r\n")
	const deadly = "$JS.API.STREAM.DELETE.TOLD_use1"
	answered := map[string]bool{}
	answer := func() bool {
		for line := range strings.SplitSeq(r.text(), "\n") {
			f := strings.Fields(line)
			if len(f) < 4 || f[0] != "LMSG" && f[0] != "HMSG" || answered[line] {
				continue
			}
			answered[line] = true
			subject, reply := f[1], f[2]
			switch {
			case strings.Contains(subject, "STREAM.INFO"):
				r.publish(reply, deadly, `{"type":"io.nats.jetstream.api.v1.stream_info_response","config":{"name":"OUT"},"created":"2026-01-01T00:00:00Z","state":{"messages":1}}`)
			case strings.Contains(subject, "CONSUMER.CREATE"):
				name := subject[strings.LastIndex(subject, ".")+1:]
				r.publish(reply, deadly, `{"type":"io.nats.jetstream.api.v1.consumer_create_response","stream_name":"OUT","name":"`+name+`","created":"2026-01-01T00:00:00Z","config":{"name":"`+name+`","ack_policy":"none"}}`)
			case strings.Contains(subject, "MSG.NEXT"):
				for _, h := range []string{"NATS/1.0 100 FlowControl Request\r\n\r\n", "NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: " + deadly + "\r\n\r\n"} {
					r.send(fmt.Sprintf("HMSG %s %s %d %d\r\n%s\r\n", reply, deadly, len(h), len(h), h))
					r.send(fmt.Sprintf("LMSG %s %s %d %d\r\n%s\r\n", reply, deadly, len(h), len(h), h))
				}
				r.publish(reply, "$JS.ACK.OUT.x.1.1.1.1.0@glb.catalog.use1."+evt("use1", 1), "Vandal")
				return true
			}
		}
		return false
	}
	w.eventually("the hub asked for messages and was answered", answer)
	victim.tell(t, "glb.catalog.use1."+evt("use1", 2), "Norma", "use1-1-2")
	w.eventually("the others still hear each other", func() bool { return len(witness.heard(t)) == 2 })
	if got := witness.heard(t)["glb.catalog.use1."+evt("use1", 1)]; got != "Tosca" {
		t.Errorf("the witness has %q", got)
	}
}

func TestGate_refusesWhatIsNotTheCellsToTellAndLetsTheRestPass(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	a, b := w.leaf("euw3"), w.leaf("use1")
	own := "glb.catalog.euw3." + evt("euw3", 1)
	for reason, m := range map[string]struct{ subject, payload, id string }{
		hub.ErrForeignSubject.Code: {"glb.catalog.use1." + evt("use1", 1), "{}", "euw3-1-1"},
		hub.ErrForeignEvent.Code:   {"glb.catalog.euw3." + evt("use1", 1), "{}", "euw3-1-2"},
		hub.ErrForeignID.Code:      {own, "{}", "use1-1-1"},
		hub.ErrPrivate.Code:        {own, `{"last":"ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v"}`, "euw3-1-3"},
		hub.ErrTooLarge.Code:       {own, strings.Repeat("x", hub.MaxTold+1), "euw3-1-4"},
		hub.ErrUnreadable.Code:     {"glb.avail.euw3", "free seats", ""},
	} {
		a.tell(t, m.subject, m.payload, m.id)
		w.eventually(reason+" is counted", func() bool { return w.count("guichet_hub_messages_refused_total", "euw3", reason) == 1 })
	}
	for _, subject := range []string{
		"cell.euw3.evt.order.ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v.paid", "glb.avail.use1", "glb.catalog.euw3", "glb.catalog.euw3.x",
		"glb.catalog.euw3.ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", own + ".more",
	} {
		before := w.count("guichet_hub_messages_refused_total", "euw3", hub.ErrForeignSubject.Code)
		a.tell(t, subject, "{}", "")
		w.eventually(subject+" is refused", func() bool {
			return w.count("guichet_hub_messages_refused_total", "euw3", hub.ErrForeignSubject.Code) == before+1
		})
	}
	a.tell(t, "glb.avail.euw3", `{"cell":"euw3","changed":{"`+evt("use1", 1)+`":"none"}}`, "")
	w.eventually("availability of another cell's event is refused", func() bool {
		return w.count("guichet_hub_messages_refused_total", "euw3", hub.ErrForeignEvent.Code) == 2
	})
	a.tell(t, own, "Carmen", "euw3-1-5")
	a.tell(t, "glb.avail.euw3", `{"cell":"euw3","changed":{"`+evt("euw3", 1)+`":"none"}}`, "")
	w.eventually("the rest passes", func() bool { return len(b.heard(t)) == 2 })
	if got := b.heard(t)[own]; got != "Carmen" {
		t.Errorf("heard %q", got)
	}
	if !strings.Contains(w.log.String(), "cell=euw3") || !strings.Contains(w.log.String(), hub.ErrForeignEvent.Code) {
		t.Errorf("the log names nobody:\n%s", w.log)
	}
}

func TestGate_anEventThatMovedIsItsNewHomesToTell(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	a, b := w.leaf("euw3"), w.leaf("use1")
	moved := evt("use1", 9)
	w.publishMap(&topology.Snapshot{Version: 2, Placements: []topology.Placement{{EventID: moved, Home: "euw3", Epoch: 2}}})
	b.tell(t, "glb.catalog.use1."+moved, "old", "use1-1-1")
	a.tell(t, "glb.catalog.euw3."+moved, "new", "euw3-1-1")
	w.eventually("the new home is heard", func() bool { return b.heard(t)["glb.catalog.euw3."+moved] == "new" })
	w.eventually("the old one is not", func() bool {
		return w.count("guichet_hub_messages_refused_total", "use1", hub.ErrForeignEvent.Code) == 1
	})
	if _, ok := a.heard(t)["glb.catalog.use1."+moved]; ok {
		t.Error("the old home was heard")
	}
}

func TestAttack_aFloodIsHeldToTheCellsLimitAndTheOthersAreServed(t *testing.T) {
	t.Parallel()
	limits := hub.Limits{Messages: 50, MessagesBurst: 300, Bytes: 1 << 20, BytesBurst: 8 << 20}
	w := openTown(t, func(c *hub.Config) { c.Limits = limits })
	flooder, a, b := w.leaf("euw3"), w.leaf("use1"), w.leaf("apn1")
	const flood = 20_000
	for i := range flood {
		if _, err := flooder.js.PublishAsync("glb.catalog.euw3."+evt("euw3", i), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-flooder.js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("the flood is not ready")
	}
	w.eventually("the flood is throttled", func() bool { return w.count("guichet_hub_throttled_seconds_total", "euw3") > 0 })
	began := time.Now()
	for i := range 50 {
		a.tell(t, "glb.catalog.use1."+evt("use1", i), "Tosca", fmt.Sprint("use1-1-", i))
	}
	w.eventually("the others are served", func() bool {
		n := 0
		for subject := range b.heard(t) {
			if strings.HasPrefix(subject, "glb.catalog.use1.") {
				n++
			}
		}
		return n == 50
	})
	// What came through is no more than the burst, one batch, and the rate of the time that went by.
	most := limits.MessagesBurst + 2*256 + limits.Messages*(time.Since(began).Seconds()+60)
	if n := w.count("guichet_hub_messages_total", "euw3"); n > most || n >= flood {
		t.Errorf("%v messages of the flood came through, the limit allows %v", n, most)
	}
}

func TestHub_cutsOffALeafWhoseNKeyIsNotKnownAnyMore(t *testing.T) {
	t.Parallel()
	late := newKey(t)
	w := openTown(t, func(c *hub.Config) { c.Cells = nil })
	w.keys["sae1"] = late
	w.leaf("sae1")
	w.eventually("it is refused before it joined", func() bool {
		return w.count("guichet_hub_leaves_refused_total", "unknown", hub.ErrUnknownCell.Code) > 0
	})
	w.publishMap(&topology.Snapshot{Version: 1, Cells: []topology.Cell{{ID: "sae1", NKey: late.public}}})
	w.eventually("it attaches when the map names its key", func() bool { return w.hub.Leaves() == 1 })
	w.publishMap(&topology.Snapshot{Version: 2, Cells: []topology.Cell{{ID: "sae1", NKey: newKey(t).public}}})
	w.eventually("it is cut off when the map names another", func() bool { return w.hub.Leaves() == 0 })
	w.eventually("and stays out", func() bool {
		return w.count("guichet_hub_leaves_refused_total", "sae1", hub.ErrUnknownNKey.Code) > 0
	})
}

func TestHub_aPortInUseIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = hub.Start(t.Context(), hub.Config{LeafListen: l.Addr().String(), StoreDir: t.TempDir(), Read: readMap})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestLeaf_withoutAnNKeyDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, seed := range []string{"", "SUNONSENSE", "UAB"} {
		srv, err := natsd.Start(t.Context(), natsd.Config{Name: "leaf-euw3", Domain: "euw3", StoreDir: t.TempDir(), Hub: &natsd.Hub{URL: "nats-leaf://127.0.0.1:1", Seed: seed}, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			srv.Close()
			t.Errorf("it started with the seed %q", seed)
		} else if seed != "" && strings.Contains(err.Error(), seed) {
			t.Errorf("the error shows the seed: %v", err)
		}
	}
}
