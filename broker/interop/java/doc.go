// Package java holds no code, only tests: it drives a real broker with
// ActiveMQ's STOMP client for Java, unchanged and as Debian packages it.
//
// Driver.java, with Session.java and Report.java, is our program around that
// client. The test compiles it, starts it with the address of a broker's TCP listener, and once more with that of a
// bridge which carries its bytes in WebSocket messages, cut anywhere. For each
// of its tests the driver prints a line of JSON, which becomes a subtest, and
// at its end how many there were, so that one that dies fails.
//
//	apt-get install --no-install-recommends default-jdk-headless libactivemq-java
//
// What is missing is skipped, unless HOOFBEAT_E2E=required is set: then it fails.
package java
