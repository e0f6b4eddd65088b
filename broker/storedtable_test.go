package broker_test

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// overStore is the test below which brokers have a store of queues.
const overStore = "TestQueuesOverAStore"

// newBroker is brokertest.New. Below TestQueuesOverAStore the broker has a store
// of queues.
func newBroker(t testing.TB, o broker.Options) *broker.Broker {
	t.Helper()
	o = keep(t, o)
	b := brokertest.New(t, o)
	if q, ok := o.QueueStore.(*brokertest.QueueStore); ok {
		stores.Store(b, q)
		t.Cleanup(func() { stores.Delete(b) })
	}
	return b
}

// stores are those of the brokers that newBroker made.
var stores sync.Map // *broker.Broker to *brokertest.QueueStore

// handedOver waits until the store of a broker, if there is one, has handed over
// what its consumers can take.
func handedOver(b *broker.Broker) {
	if q, ok := stores.Load(b); ok {
		q.(*brokertest.QueueStore).Quiet()
	}
}

// startBroker is brokertest.Start in the same way.
func startBroker(t testing.TB, o broker.Options) *brokertest.Server {
	t.Helper()
	return brokertest.Start(t, keep(t, o))
}

func keep(t testing.TB, o broker.Options) broker.Options {
	if o.QueueStore == nil && strings.HasPrefix(t.Name(), overStore+"/") {
		o.QueueStore = brokertest.NewQueueStore(o.Queues)
	}
	if o.HistoryStore == nil && strings.HasPrefix(t.Name(), historyOverStore+"/") {
		o.HistoryStore = brokertest.NewHistoryStore()
	}
	return keepDurables(t, o)
}

// queueTest is a test that holds whatever keeps the messages of queues.
type queueTest struct {
	name string
	f    func(*testing.T)
}

// queueTests are the tests of these files, but those of notOverStore.
var queueTests = map[string][]queueTest{
	"acks": {
		{"TestAckModes", TestAckModes},
		{"TestAckHeadersAreDistinct", TestAckHeadersAreDistinct},
		{"TestClientAckIsCumulativePerSubscription", TestClientAckIsCumulativePerSubscription},
		{"TestNackIsRedelivered", TestNackIsRedelivered},
		{"TestCumulativeNackKeepsTheOrder", TestCumulativeNackKeepsTheOrder},
		{"TestLateAckIsIgnored", TestLateAckIsIgnored},
		{"TestAckByMessageID", TestAckByMessageID},
		{"TestAckByMessageIDInTransaction", TestAckByMessageIDInTransaction},
		{"TestAckByMessageIDOfSeveralSubscriptions", TestAckByMessageIDOfSeveralSubscriptions},
		{"TestAckHeaderComesBeforeMessageID", TestAckHeaderComesBeforeMessageID},
		{"TestAckOfAnotherSessionSettlesNothing", TestAckOfAnotherSessionSettlesNothing},
		{"TestAckInAutoModeIsIgnored", TestAckInAutoModeIsIgnored},
		{"TestAckRefused", TestAckRefused},
		{"TestUnacknowledgedLimit", TestUnacknowledgedLimit},
		{"TestUnacknowledgedLimitDoesNotBindAuto", TestUnacknowledgedLimitDoesNotBindAuto},
	},
	"commit": {
		{"TestCommitIsAllOrNothing", TestCommitIsAllOrNothing},
		{"TestCommitOfAnAckByMessageID", TestCommitOfAnAckByMessageID},
	},
	"delayed": {
		{"TestDelay", TestDelay},
		{"TestDelayNeedsPermission", TestDelayNeedsPermission},
		{"TestManyMessagesAreDueAtOnce", TestManyMessagesAreDueAtOnce},
		{"TestDelayOfMonths", TestDelayOfMonths},
		{"TestDelayedMessagesAreBounded", TestDelayedMessagesAreBounded},
		{"TestDelayedMessagesAreListedAndCancelled", TestDelayedMessagesAreListedAndCancelled},
		{"TestDelayedMessageMeetsAFullQueue", TestDelayedMessageMeetsAFullQueue},
		{"TestDelayedMessageCountsForItsSender", TestDelayedMessageCountsForItsSender},
		{"TestDelayAndExpiry", TestDelayAndExpiry},
		{"TestDelayInATransaction", TestDelayInATransaction},
	},
	"drain": {
		{"TestDrainDelay", TestDrainDelay},
		{"TestDrainDelayEndsWithItsContext", TestDrainDelayEndsWithItsContext},
		{"TestDrainSpread", TestDrainSpread},
	},
	"handlers": {
		{"TestHandlerRequest", TestHandlerRequest},
		{"TestHandlerPrincipalIsNeverNil", TestHandlerPrincipalIsNeverNil},
		{"TestReplyDestination", TestReplyDestination},
		{"TestSendToUserDestinationReachesTheHandler", TestSendToUserDestinationReachesTheHandler},
		{"TestHandlersRunInOrder", TestHandlersRunInOrder},
		{"TestSubscribeToHandlerIsAnsweredOnce", TestSubscribeToHandlerIsAnsweredOnce},
		{"TestHandlerMayPublish", TestHandlerMayPublish},
		{"TestHandlerPatterns", TestHandlerPatterns},
		{"TestHandleRefuses", TestHandleRefuses},
		{"TestUnknownHandler", TestUnknownHandler},
		{"TestHandlerErrors", TestHandlerErrors},
		{"TestHandlerPanicEndsOneSession", TestHandlerPanicEndsOneSession},
		{"TestSlowHandler", TestSlowHandler},
		{"TestHandlerContextEndsWithTheSession", TestHandlerContextEndsWithTheSession},
		{"TestReplyTwiceToSend", TestReplyTwiceToSend},
	},
	"hookpanics": {
		{"TestEveryHookPanicIsLoggedWithItsStack", TestEveryHookPanicIsLoggedWithItsStack},
	},
	"inprocess": {
		{"TestLocalTopic", TestLocalTopic},
		{"TestLocalIsOneAtATimeAndInOrder", TestLocalIsOneAtATimeAndInOrder},
		{"TestLocalKeepsNothingOfTheCaller", TestLocalKeepsNothingOfTheCaller},
		{"TestLocalQueue", TestLocalQueue},
		{"TestLocalAndClientsCompete", TestLocalAndClientsCompete},
		{"TestLocalSlowConsumerIsEnded", TestLocalSlowConsumerIsEnded},
		{"TestLocalQueueWaitsForASlowFunction", TestLocalQueueWaitsForASlowFunction},
		{"TestLocalCancel", TestLocalCancel},
		{"TestLocalCancelReturnsMessages", TestLocalCancelReturnsMessages},
		{"TestLocalEndsFromItsOwnFunction", TestLocalEndsFromItsOwnFunction},
		{"TestLocalEndsWithItsContext", TestLocalEndsWithItsContext},
		{"TestLocalEndsWithTheBroker", TestLocalEndsWithTheBroker},
		{"TestLocalRefused", TestLocalRefused},
	},
	"inprocessrace": {
		{"TestLocalRace", TestLocalRace},
		{"TestLocalContextEndsDuringSubscribe", TestLocalContextEndsDuringSubscribe},
		{"TestLocalSubscribeDuringClose", TestLocalSubscribeDuringClose},
	},
	"inprocessretry": {
		{"TestFailingConsumerIsRetriedWithPauses", TestFailingConsumerIsRetriedWithPauses},
		{"TestBadMessageHoldsNothingUp", TestBadMessageHoldsNothingUp},
	},
	"inspect": {
		{"TestQueuesAreListed", TestQueuesAreListed},
		{"TestBrowse", TestBrowse},
		{"TestRemoveMessages", TestRemoveMessages},
		{"TestMoveMessages", TestMoveMessages},
		{"TestDeadLettersReturn", TestDeadLettersReturn},
		{"TestMoveToAFullTarget", TestMoveToAFullTarget},
		{"TestInspectionRefuses", TestInspectionRefuses},
		{"TestBrowseWhileOthersConsume", TestBrowseWhileOthersConsume},
		{"TestMoveWhileConsumersRun", TestMoveWhileConsumersRun},
	},
	"later": {
		{"TestHandlerAnswersLater", TestHandlerAnswersLater},
		{"TestHandlerFailsLater", TestHandlerFailsLater},
		{"TestSubscribeIsAnsweredLater", TestSubscribeIsAnsweredLater},
		{"TestHandlerDeniesLaterSoftly", TestHandlerDeniesLaterSoftly},
		{"TestCommitWaitsForHandlers", TestCommitWaitsForHandlers},
		{"TestCommitOfManySlowRequests", TestCommitOfManySlowRequests},
		{"TestDuplicateOfARequestThatWaits", TestDuplicateOfARequestThatWaits},
		{"TestTooManyRequestsWait", TestTooManyRequestsWait},
		{"TestSessionEndsBeforeItsRequest", TestSessionEndsBeforeItsRequest},
		{"TestForward", TestForward},
		{"TestReserveQueue", TestReserveQueue},
	},
	"lenient": {
		{"TestHandMadeFrames", TestHandMadeFrames},
		{"TestClientIndividualIn10", TestClientIndividualIn10},
		{"TestPrefetchCountZero", TestPrefetchCountZero},
		{"TestUnreadableFramesNameTheirReceipt", TestUnreadableFramesNameTheirReceipt},
	},
	"lifecycle": {
		{"TestDrain", TestDrain},
		{"TestDrainIsStaggered", TestDrainIsStaggered},
		{"TestDrainDeadline", TestDrainDeadline},
		{"TestCloseInEveryState", TestCloseInEveryState},
		{"TestAfterClose", TestAfterClose},
		{"TestSubscribeDuringClose", TestSubscribeDuringClose},
		{"TestServeReturns", TestServeReturns},
		{"TestDisconnectByTheProgram", TestDisconnectByTheProgram},
		{"TestServeTCP", TestServeTCP},
	},
	"messageexpiry": {
		{"TestExpiredOnATopic", TestExpiredOnATopic},
		{"TestWrongTimes", TestWrongTimes},
		{"TestExpiredInAQueue", TestExpiredInAQueue},
		{"TestExpiredWhenItComesBack", TestExpiredWhenItComesBack},
		{"TestExpiredWithoutRoomForDeadLetters", TestExpiredWithoutRoomForDeadLetters},
		{"TestExpiredForAnInProcessSubscription", TestExpiredForAnInProcessSubscription},
		{"TestExpiredWhileTheAuthorizerDecides", TestExpiredWhileTheAuthorizerDecides},
		{"TestProgramPublishesWithALifetime", TestProgramPublishesWithALifetime},
		{"TestExpiryAndDelayInAHistory", TestExpiryAndDelayInAHistory},
	},
	"observers": {
		{"TestObserver", TestObserver},
		{"TestObserverReasons", TestObserverReasons},
		{"TestSeveralObserversAndOneThatPanics", TestSeveralObserversAndOneThatPanics},
		{"TestObserverMayUseTheBroker", TestObserverMayUseTheBroker},
	},
	"once": {
		{"TestMessageIsAcceptedOnce", TestMessageIsAcceptedOnce},
		{"TestSendOnceIsAuthorizedOnce", TestSendOnceIsAuthorizedOnce},
		{"TestScopeOfAMessageID", TestScopeOfAMessageID},
		{"TestMessageIDIsRememberedForTwoMinutes", TestMessageIDIsRememberedForTwoMinutes},
		{"TestRefusedMessageCanBeSentAgain", TestRefusedMessageCanBeSentAgain},
		{"TestWrongMessageIDs", TestWrongMessageIDs},
		{"TestMessageIDsAreShared", TestMessageIDsAreShared},
		{"TestDuplicateInATransaction", TestDuplicateInATransaction},
		{"TestProgramPublishesOnce", TestProgramPublishesOnce},
		{"TestLookAtTheHeadersAllocatesNothing", TestLookAtTheHeadersAllocatesNothing},
	},
	"policy": {
		{"TestPolicyRulesHoldForConnectedSessions", TestPolicyRulesHoldForConnectedSessions},
		{"TestPolicyLimitsHoldForConnectedSessions", TestPolicyLimitsHoldForConnectedSessions},
		{"TestPolicyOriginsHoldForNewConnections", TestPolicyOriginsHoldForNewConnections},
		{"TestPolicyIsChecked", TestPolicyIsChecked},
		{"TestPolicyRulesNarrowAPattern", TestPolicyRulesNarrowAPattern},
		{"TestPolicyRulesForgetAnswers", TestPolicyRulesForgetAnswers},
	},
	"prefixes": {
		{"TestPrivateDestinationsOfAnyName", TestPrivateDestinationsOfAnyName},
		{"TestSendToAUsersDestinationOfAnyName", TestSendToAUsersDestinationOfAnyName},
		{"TestConfiguredPrefixes", TestConfiguredPrefixes},
		{"TestPurgeOfAConfiguredPrefix", TestPurgeOfAConfiguredPrefix},
		{"TestTopicsWithoutAPrefix", TestTopicsWithoutAPrefix},
		{"TestQuestionMarkInASend", TestQuestionMarkInASend},
	},
	"publish": {
		{"TestPublishMessage", TestPublishMessage},
		{"TestPublishToQueueKeepsACopy", TestPublishToQueueKeepsACopy},
		{"TestPublishRefuses", TestPublishRefuses},
		{"TestSettled", TestSettled},
		{"TestSettledOncePerSubscription", TestSettledOncePerSubscription},
		{"TestSettledNobody", TestSettledNobody},
		{"TestSettledPanics", TestSettledPanics},
		{"TestSettledReply", TestSettledReply},
		{"TestOutcomeString", TestOutcomeString},
		{"TestReserved", TestReserved},
		{"TestPublishOrderPerGoroutine", TestPublishOrderPerGoroutine},
	},
	"queues": {
		{"TestQueueHandsEachMessageToOneConsumer", TestQueueHandsEachMessageToOneConsumer},
		{"TestQueueKeepsMessagesWhileNobodyConsumes", TestQueueKeepsMessagesWhileNobodyConsumes},
		{"TestQueuesAreSeparate", TestQueuesAreSeparate},
		{"TestPrefetch", TestPrefetch},
		{"TestPrefetchDoesNotBindAuto", TestPrefetchDoesNotBindAuto},
		{"TestSessionLossReturnsMessagesInOrder", TestSessionLossReturnsMessagesInOrder},
		{"TestUnsubscribeReturnsMessagesToOthers", TestUnsubscribeReturnsMessagesToOthers},
		{"TestNackGoesToAnotherConsumer", TestNackGoesToAnotherConsumer},
		{"TestDeadLetters", TestDeadLetters},
		{"TestDeadLetterAfterLostSessions", TestDeadLetterAfterLostSessions},
		{"TestFullQueueRefuses", TestFullQueueRefuses},
		{"TestTooManyQueues", TestTooManyQueues},
		{"TestQueueModeBroadcast", TestQueueModeBroadcast},
		{"TestSlowAutoConsumerGetsEverything", TestSlowAutoConsumerGetsEverything},
		{"TestQueueConsumersComeAndGo", TestQueueConsumersComeAndGo},
	},
	"quota": {
		{"TestQueuesAreShared", TestQueuesAreShared},
		{"TestQueueBytesAreShared", TestQueueBytesAreShared},
		{"TestQueueShareOfAnAddress", TestQueueShareOfAnAddress},
		{"TestLongestQueueName", TestLongestQueueName},
		{"TestCrashesSpareWhatWasNotLookedAt", TestCrashesSpareWhatWasNotLookedAt},
	},
	"receipts": {
		{"TestReceiptsInOrder", TestReceiptsInOrder},
		{"TestReceiptOnlyWhenAsked", TestReceiptOnlyWhenAsked},
		{"TestReceiptIDIsEscapedAsNegotiated", TestReceiptIDIsEscapedAsNegotiated},
		{"TestFailureCarriesReceiptID", TestFailureCarriesReceiptID},
		{"TestErrorWithoutReceiptHasNoReceiptID", TestErrorWithoutReceiptHasNoReceiptID},
	},
	"reserve": {
		{"TestNobodySendsInTheBrokersName", TestNobodySendsInTheBrokersName},
		{"TestWhatIsNotReservedIsForTheRules", TestWhatIsNotReservedIsForTheRules},
		{"TestReserveRefusesWhatIsNoPrivateDestination", TestReserveRefusesWhatIsNoPrivateDestination},
	},
	"slashes": {
		{"TestEmptySegmentsAreDeliveredAsBySpring", TestEmptySegmentsAreDeliveredAsBySpring},
		{"TestEmptySegmentsAreNoDenial", TestEmptySegmentsAreNoDenial},
		{"TestDestinationLimitsAreNamed", TestDestinationLimitsAreNamed},
	},
	"spellings": {
		{"TestDenyHoldsForEveryName", TestDenyHoldsForEveryName},
		{"TestOwnDestinationIsOneThingToTheRules", TestOwnDestinationIsOneThingToTheRules},
		{"TestPatternMatchesTheNameWithASlash", TestPatternMatchesTheNameWithASlash},
		{"TestAuthorizerIsAskedCanonicalNames", TestAuthorizerIsAskedCanonicalNames},
	},
	"spring_broker": {
		{"TestSimpleBrokerMessageHandler_Broadcast", TestSimpleBrokerMessageHandler_Broadcast},
		{"TestSimpleBrokerMessageHandler_QueuesAreWorkQueues_Differs", TestSimpleBrokerMessageHandler_QueuesAreWorkQueues_Differs},
		{"TestSimpleBrokerMessageHandler_DisconnectedIsForgotten", TestSimpleBrokerMessageHandler_DisconnectedIsForgotten},
		{"TestSimpleBrokerMessageHandler_Receipts_Differs", TestSimpleBrokerMessageHandler_Receipts_Differs},
		{"TestSimpleBrokerMessageHandler_OrderKept_Differs", TestSimpleBrokerMessageHandler_OrderKept_Differs},
		{"TestSimpleBrokerMessageHandler_Transactions_Differs", TestSimpleBrokerMessageHandler_Transactions_Differs},
		{"TestSimpleBrokerMessageHandler_Acknowledgements_Differs", TestSimpleBrokerMessageHandler_Acknowledgements_Differs},
		{"TestSimpleBrokerMessageHandler_NothingIsDroppedSilently_Differs", TestSimpleBrokerMessageHandler_NothingIsDroppedSilently_Differs},
		{"TestDefaultSubscriptionRegistry_UnknownUnsubscribe", TestDefaultSubscriptionRegistry_UnknownUnsubscribe},
		{"TestDefaultSubscriptionRegistry_OverlappingSubscriptions", TestDefaultSubscriptionRegistry_OverlappingSubscriptions},
		{"TestDefaultSubscriptionRegistry_AntPatterns", TestDefaultSubscriptionRegistry_AntPatterns},
		{"TestDefaultSubscriptionRegistry_TemplateVariables_Differs", TestDefaultSubscriptionRegistry_TemplateVariables_Differs},
	},
	"stats": {
		{"TestStats", TestStats},
		{"TestStatsCountMessages", TestStatsCountMessages},
		{"TestSessions", TestSessions},
		{"TestSessionsTellWhatIsPending", TestSessionsTellWhatIsPending},
		{"TestUsers", TestUsers},
		{"TestDestinations", TestDestinations},
	},
	"subscriptionends": {
		{"TestObserverHearsThatRulesEndSubscriptions", TestObserverHearsThatRulesEndSubscriptions},
		{"TestObserverHearsOriginAndTraffic", TestObserverHearsOriginAndTraffic},
		{"TestObserverHearsWholeLives", TestObserverHearsWholeLives},
	},
	"subscriptions": {
		{"TestSubscribeRefused", TestSubscribeRefused},
		{"TestSubscriptionIDMayBeUsedAgain", TestSubscriptionIDMayBeUsedAgain},
		{"TestSubscriptionIDTravelsAsItIs", TestSubscriptionIDTravelsAsItIs},
		{"TestStomp10WithoutSubscriptionID", TestStomp10WithoutSubscriptionID},
		{"TestStomp10WithSubscriptionID", TestStomp10WithSubscriptionID},
		{"TestUnknownUnsubscribeIsIgnored", TestUnknownUnsubscribeIsIgnored},
		{"TestUnsubscribeWithoutID", TestUnsubscribeWithoutID},
		{"TestUnsubscribeEndsOneOfTwo", TestUnsubscribeEndsOneOfTwo},
		{"TestSubscribeThenSendReachesItself", TestSubscribeThenSendReachesItself},
		{"TestSubscribeUnsubscribeRace", TestSubscribeUnsubscribeRace},
		{"TestEmptySubscriptionID", TestEmptySubscriptionID},
		{"TestUnavailableHeaders", TestUnavailableHeaders},
		{"TestPrefetchOfActiveMQ", TestPrefetchOfActiveMQ},
	},
	"transactions": {
		{"TestTransactionCommit", TestTransactionCommit},
		{"TestTransactionAbort", TestTransactionAbort},
		{"TestTransactionsAreIndependent", TestTransactionsAreIndependent},
		{"TestTransactionAbortedAtSessionEnd", TestTransactionAbortedAtSessionEnd},
		{"TestAckInTransaction", TestAckInTransaction},
		{"TestNackInTransaction", TestNackInTransaction},
		{"TestTransactionRefused", TestTransactionRefused},
		{"TestTransactionLimitsAreGivenBack", TestTransactionLimitsAreGivenBack},
		{"TestCommitIsAuthorized", TestCommitIsAuthorized},
	},
	"transient": {
		{"TestTransientQueuesOfDeadSessions", TestTransientQueuesOfDeadSessions},
		{"TestTransientQueueIsATopic", TestTransientQueueIsATopic},
		{"TestTransientQueuesLeaveOthersAlone", TestTransientQueuesLeaveOthersAlone},
		{"TestTransientQueueReceipts", TestTransientQueueReceipts},
		{"TestTransientQueueInProcess", TestTransientQueueInProcess},
		{"TestTransientQueueSelector", TestTransientQueueSelector},
		{"TestTransientQueuePatternIsRefused", TestTransientQueuePatternIsRefused},
		{"TestTransientQueuesAreNotOfDeadLetters", TestTransientQueuesAreNotOfDeadLetters},
		{"TestTransientPatternsAreChecked", TestTransientPatternsAreChecked},
	},
	"unknownacks": {
		{"TestAckOfWhatWasNeverGiven", TestAckOfWhatWasNeverGiven},
		{"TestLateAcksAreHarmless", TestLateAcksAreHarmless},
		{"TestForeignAcks", TestForeignAcks},
	},
}

// notOverStore are the tests that a broker with a store would fail, and why it
// may.
var notOverStore = map[string]string{
	"TestOrderOfACommit":                      "messages of a queue are handed over by the store, those of a topic come at once: the order of the two is not promised",
	"TestCommitStopsTheReading":               "it replaces the queues by some in memory that end what they take when the test says so",
	"TestCommitWaitsForItsAcks":               "it replaces the queues by some in memory that end what they take when the test says so",
	"TestDelayInATransactionThatIsStoredLate": "it replaces the queues by some in memory that end what they take when the test says so",
	"TestDelayedMessageMeetsAStoreThatFails":  "it replaces the queues by some in memory that end what they take when the test says so",
	"TestDelayedMessageHoldsWhatItCounts":     "it measures the memory of delayed messages, of which the store has its own, and takes long",
	"TestDelayedMessagesAreDiscarded":         "nothing is discarded",
	"TestCloseNamesTheQueuesThatItDiscards":   "nothing is discarded",
	"TestLifetimeBeginsWithTheCommit":         "messages of a queue are handed over by the store, those of a topic come at once: the order of the two is not promised",
	"TestDuplicateWaitsForTheFirst":           "it replaces the queues by some in memory that end what they take when the test says so",
	"TestCommitSettlesItsMessageIDs":          "it replaces the queues by some in memory that end what they take when the test says so",
	"TestPublishedBeforeEndsWithTheBroker":    "it replaces the queues by some in memory that end what they take when the test says so",
}

// The tests of queues in memory hold for queues over a store.
func TestQueuesOverAStore(t *testing.T) {
	for file, list := range queueTests {
		t.Run(file, func(t *testing.T) {
			for _, x := range list {
				t.Run(x.name, x.f)
			}
		})
	}
}

// No test of the files is left out in silence.
func TestQueueTestsAreComplete(t *testing.T) {
	for file, list := range queueTests {
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
			if name := m[1]; in[name] == (notOverStore[name] != "") {
				t.Errorf("%s of %s_test.go must be in one of the two lists", name, file)
			}
		}
	}
}
