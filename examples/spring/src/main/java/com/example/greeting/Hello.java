package com.example.greeting;

/** What a page says. */
public record Hello(String name) {
}
