package broker_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Below these tests, brokers have a store of durable subscriptions, which answers
// at once or later.
const (
	durableStore     = "TestDurableOverAStore"
	lateDurableStore = "TestDurableOverALateStore"
)

func keepDurables(t testing.TB, o broker.Options) broker.Options {
	late := strings.HasPrefix(t.Name(), lateDurableStore+"/")
	if o.DurableStore != nil || !late && !strings.HasPrefix(t.Name(), durableStore+"/") {
		return o
	}
	s := brokertest.NewDurableStore()
	s.Late = late
	o.DurableStore = s
	if o.QueueStore == nil {
		o.QueueStore = brokertest.NewQueueStore(o.Queues)
	}
	return o
}

// durableTests are the tests of the files durable*_test.go, but those of
// notOverDurableStore.
var durableTests = map[string][]queueTest{
	"durable": {
		{"TestDurableForms", TestDurableForms},
		{"TestDurableUnacknowledged", TestDurableUnacknowledged},
		{"TestDurableSelectorAndPattern", TestDurableSelectorAndPattern},
		{"TestDurableDelete", TestDurableDelete},
		{"TestDurableDeletedTwice", TestDurableDeletedTwice},
		{"TestDurableWithHistory", TestDurableWithHistory},
	},
	"durable_bounds": {
		{"TestDurableDropsItsOldest", TestDurableDropsItsOldest},
		{"TestDurableDroppedIsTheBrokers", TestDurableDroppedIsTheBrokers},
		{"TestDurableAge", TestDurableAge},
		{"TestDurableExpiry", TestDurableExpiry},
		{"TestDurableCountsWhatSlowsRouting", TestDurableCountsWhatSlowsRouting},
		{"TestDurableLimits", TestDurableLimits},
		{"TestDurableUnderPublishers", TestDurableUnderPublishers},
	},
	"durable_hostile": {
		{"TestDurableDeadLettersBehindOtherPrefixes", TestDurableDeadLettersBehindOtherPrefixes},
		{"TestDurableComesBackWhenItIsRemoved", TestDurableComesBackWhenItIsRemoved},
	},
	"durable_rules": {
		{"TestDurableDeadLetters", TestDurableDeadLetters},
		{"TestDurableBelongsToItsUser", TestDurableBelongsToItsUser},
		{"TestDurableRefusals", TestDurableRefusals},
		{"TestDurableIsOffByDefault", TestDurableIsOffByDefault},
		{"TestDurableRules", TestDurableRules},
		{"TestDurableOutlivesRevocation", TestDurableOutlivesRevocation},
	},
}

// notOverDurableStore are the tests that a broker with a store would fail, and why
// it may.
var notOverDurableStore = map[string]string{
	"TestDurableCountsInTheShares": "the store of the queues counts what users have in queues, the broker what waits in lists: each has the limit for itself",
	"TestDurableOptions":           "it makes no broker that works",
}

// The tests of durable subscriptions in memory hold for those over a store.
func TestDurableOverAStore(t *testing.T) { runDurableTests(t) }

// They also hold if the store takes its time.
func TestDurableOverALateStore(t *testing.T) { runDurableTests(t) }

func runDurableTests(t *testing.T) {
	for file, list := range durableTests {
		t.Run(file, func(t *testing.T) {
			for _, x := range list {
				t.Run(x.name, x.f)
			}
		})
	}
}

// No test of the files is left out in silence.
func TestDurableTestsAreComplete(t *testing.T) {
	for file, list := range durableTests {
		text, err := os.ReadFile(file + "_test.go")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "brokertest.New(") || strings.Contains(string(text), "brokertest.Start(") {
			t.Errorf("%s_test.go makes a broker that never has a store", file)
		}
		in := make(map[string]bool)
		for _, x := range list {
			in[x.name] = true
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(text), -1) {
			if name := m[1]; in[name] == (notOverDurableStore[name] != "") {
				t.Errorf("%s of %s_test.go must be in one of the two lists", name, file)
			}
		}
	}
}
