package broker_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// historyOverStore is the test below which brokers have a store of histories.
const historyOverStore = "TestHistoryOverAStore"

// historyTests are the tests of these files, but those of notHistoryOverStore:
// what holds for a history in memory holds over a store.
var historyTests = map[string][]queueTest{
	"history": {
		{"TestH1HistoryBeginsWhereTheClientSays", TestH1HistoryBeginsWhereTheClientSays},
		{"TestH2FirstMessageSaysWhetherItRecovered", TestH2FirstMessageSaysWhetherItRecovered},
		{"TestH3RecoveredOnlyWhenProven", TestH3RecoveredOnlyWhenProven},
		{"TestH4BadOffsetIsRefused", TestH4BadOffsetIsRefused},
		{"TestH5HistoryOfEveryVersionAndFraming", TestH5HistoryOfEveryVersionAndFraming},
		{"TestH6OffsetsCannotBeForged", TestH6OffsetsCannotBeForged},
		{"TestHistoryExpires", TestHistoryExpires},
	},
	"history_faults": {
		{"TestHistoryUnderFaults", TestHistoryUnderFaults},
	},
	"history_hostile": {
		{"TestHistoryOfATrailingSlash", TestHistoryOfATrailingSlash},
		{"TestAuthorizerFailsDuringAReplay", TestAuthorizerFailsDuringAReplay},
		{"TestFirstMessageOfASubscriptionWithoutHistory", TestFirstMessageOfASubscriptionWithoutHistory},
		{"TestForgedHistory", TestForgedHistory},
		{"TestManyPatternsWithASlowAuthorizer", TestManyPatternsWithASlowAuthorizer},
		{"TestReplaysOfASessionTakeTurns", TestReplaysOfASessionTakeTurns},
		{"TestLoggerThatPublishesToAHistory", TestLoggerThatPublishesToAHistory},
	},
	"history_limits": {
		{"TestHistoryLimitsChange", TestHistoryLimitsChange},
		{"TestHistoryDestinationsStay", TestHistoryDestinationsStay},
	},
	"history_lock": {
		{"TestPublishersDoNotWaitUnderTheLockOfAHistory", TestPublishersDoNotWaitUnderTheLockOfAHistory},
	},
	"history_overtaken": {
		{"TestH10OvertakenAfterRecovered", TestH10OvertakenAfterRecovered},
		{"TestH10HoleIsSaid", TestH10HoleIsSaid},
	},
	"history_publishers": {
		{"TestH9EveryPublisherIsKept", TestH9EveryPublisherIsKept},
		{"TestH9ProgramSeesOffsets", TestH9ProgramSeesOffsets},
	},
	"history_remove": {
		{"TestHistoryIsRemoved", TestHistoryIsRemoved},
		{"TestNoHistoryToRemove", TestNoHistoryToRemove},
		{"TestRemovalBesidePublishers", TestRemovalBesidePublishers},
		{"TestRemovalDuringAReplay", TestRemovalDuringAReplay},
	},
	"history_replay": {
		{"TestH11NoGapUnderPublishers", TestH11NoGapUnderPublishers},
		{"TestReplaysStayWithinTheirBudget", TestReplaysStayWithinTheirBudget},
	},
	"history_rules": {
		{"TestH7RulesGovernHistory", TestH7RulesGovernHistory},
		{"TestH7NewRulesHideHistory", TestH7NewRulesHideHistory},
		{"TestH7SlowAuthorizer", TestH7SlowAuthorizer},
		{"TestH8SelectorsGovernHistory", TestH8SelectorsGovernHistory},
	},
	"inprocessreplay": {
		{"TestProgramGetsHistory", TestProgramGetsHistory},
		{"TestProgramAsksForNoHistory", TestProgramAsksForNoHistory},
		{"TestProgramIsSlowerThanItsHistory", TestProgramIsSlowerThanItsHistory},
		{"TestProgramIsOvertaken", TestProgramIsOvertaken},
	},
}

// notHistoryOverStore are the tests that a broker with a store would fail, and
// why it may.
var notHistoryOverStore = map[string]string{
	"TestHistoryHoldsWhatItCounts":            "it compares the memory of the messages with what is counted; over a store they are not in memory",
	"TestTopicsWithoutHistoryAllocateTheSame": "it is about topics without a history",
	"TestHistoryOptions":                      "it is about options, and opens no store",
}

func TestHistoryOverAStore(t *testing.T) {
	for file, list := range historyTests {
		t.Run(file, func(t *testing.T) {
			for _, x := range list {
				t.Run(x.name, x.f)
			}
		})
	}
}

// No test of the files is left out in silence.
func TestHistoryTestsAreComplete(t *testing.T) {
	for file, list := range historyTests {
		text, err := os.ReadFile(file + "_test.go")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "brokertest.New(") {
			t.Errorf("%s_test.go makes a broker that never has a store", file)
		}
		in := make(map[string]bool)
		for _, x := range list {
			in[x.name] = true
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(text), -1) {
			if name := m[1]; in[name] == (notHistoryOverStore[name] != "") {
				t.Errorf("%s of %s_test.go must be in one of the two lists", name, file)
			}
		}
	}
}
