package client

import (
	"fmt"
	"log/slog"
)

// logger adapts slog to go-stomp's Logger.
type logger struct{ log *slog.Logger }

func (l logger) Debugf(format string, v ...any)   { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l logger) Infof(format string, v ...any)    { l.log.Info(fmt.Sprintf(format, v...)) }
func (l logger) Warningf(format string, v ...any) { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any)   { l.log.Error(fmt.Sprintf(format, v...)) }
func (l logger) Debug(message string)             { l.log.Debug(message) }
func (l logger) Info(message string)              { l.log.Info(message) }
func (l logger) Warning(message string)           { l.log.Warn(message) }
func (l logger) Error(message string)             { l.log.Error(message) }
