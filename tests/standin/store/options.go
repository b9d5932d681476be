package main

import (
	"flag"
	"fmt"
	"math"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/ngaut/unistore/tikv/raftstore"
)

// options are what TiKV's command line and its configuration say, as far as this program heeds them.
type options struct {
	addr            string
	advertise       string
	statusAddr      string
	advertiseStatus string
	pd              string
	dataDir         string
	logFile         string
	logLevel        string
	raft            raftTimes
}

// raftTimes are in the proportions of TiKV, but for the lease: an election after 10 to 20 ticks of a second.
type raftTimes struct {
	tick           time.Duration
	electionTicks  int
	heartbeatTicks int
	lease          time.Duration
}

// fileOptions are the entries of TiKV's configuration that are heeded; all others are ignored.
type fileOptions struct {
	LogLevel string `toml:"log-level"`
	LogFile  string `toml:"log-file"`
	Log      struct {
		Level string
		File  struct{ Filename string }
	}
	Server struct {
		Addr                string
		AdvertiseAddr       string `toml:"advertise-addr"`
		StatusAddr          string `toml:"status-addr"`
		AdvertiseStatusAddr string `toml:"advertise-status-addr"`
	}
	Storage struct {
		DataDir string `toml:"data-dir"`
	}
	Raftstore struct {
		Tick           string `toml:"raft-base-tick-interval"`
		ElectionTicks  int    `toml:"raft-election-timeout-ticks"`
		HeartbeatTicks int    `toml:"raft-heartbeat-ticks"`
		Lease          string `toml:"raft-store-max-leader-lease"`
	}
}

// readOptions reads the command line, then what it leaves open from the file it names, then the defaults.
func readOptions() (options, error) {
	var opts options
	var file string
	var tick time.Duration
	flag.StringVar(&opts.addr, "addr", "", "address to listen on, HOST:PORT (default 127.0.0.1:20160)")
	flag.StringVar(&opts.advertise, "advertise-addr", "", "address told to PD (default: that listened on)")
	flag.StringVar(&opts.statusAddr, "status-addr", "", "address of /status and /metrics (default: none)")
	flag.StringVar(&opts.advertiseStatus, "advertise-status-addr", "", "status address told to PD (default: the same)")
	flag.StringVar(&opts.pd, "pd-endpoints", "127.0.0.1:2379", "PD's addresses, HOST:PORT,HOST:PORT")
	flag.StringVar(&opts.pd, "pd", "127.0.0.1:2379", "the same")
	flag.StringVar(&opts.dataDir, "data-dir", "", "directory of the data, made if it is not there (default .)")
	flag.StringVar(&opts.logFile, "log-file", "", "file of the log (default: standard error)")
	flag.StringVar(&opts.logLevel, "log-level", "", "debug, info, warn or error (default info)")
	flag.StringVar(&file, "config", "", "TiKV's configuration, of which a few entries are heeded")
	flag.DurationVar(&tick, "raft-tick", 0, "base tick of Raft (default 1s)")
	flag.Parse()
	if flag.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	var said fileOptions
	if file != "" {
		if _, err := toml.DecodeFile(file, &said); err != nil {
			return opts, fmt.Errorf("--config %s: %w", file, err)
		}
	}
	opts.addr = first(opts.addr, said.Server.Addr, "127.0.0.1:20160")
	opts.advertise = first(opts.advertise, said.Server.AdvertiseAddr, opts.addr)
	opts.statusAddr = first(opts.statusAddr, said.Server.StatusAddr)
	opts.advertiseStatus = first(opts.advertiseStatus, said.Server.AdvertiseStatusAddr, opts.statusAddr)
	opts.dataDir = first(opts.dataDir, said.Storage.DataDir, ".")
	opts.logFile = first(opts.logFile, said.Log.File.Filename, said.LogFile)
	opts.logLevel = first(opts.logLevel, said.Log.Level, said.LogLevel, "info")
	var err error
	opts.raft, err = readRaftTimes(tick, said)
	return opts, err
}

func readRaftTimes(tick time.Duration, said fileOptions) (raftTimes, error) {
	defaults := raftstore.NewDefaultConfig()
	times := raftTimes{
		tick:           tick,
		electionTicks:  first(said.Raftstore.ElectionTicks, defaults.RaftElectionTimeoutTicks),
		heartbeatTicks: first(said.Raftstore.HeartbeatTicks, defaults.RaftHeartbeatTicks),
	}
	var err error
	if tick == 0 {
		if times.tick, err = duration(said.Raftstore.Tick, defaults.RaftBaseTickInterval); err != nil {
			return times, err
		}
	}
	// The library measures its lease in wall-clock time, so a clock set back lets a deposed leader serve what is stale,
	// which TiKV does not do. With a lease this short each read asks the other stores.
	if times.lease, err = duration(said.Raftstore.Lease, time.Millisecond); err != nil {
		return times, err
	}
	return times, nil
}

// raftSettings apply these times; the logs only grow.
func raftSettings(opts options, snapDir string) (*raftstore.Config, error) {
	settings := raftstore.NewDefaultConfig()
	settings.Addr = opts.advertise
	settings.SnapPath = snapDir
	settings.Labels = []raftstore.StoreLabel{{LabelKey: "standin", LabelValue: "not-tikv"}} // whoever asks PD is told
	settings.RaftBaseTickInterval = opts.raft.tick
	settings.RaftElectionTimeoutTicks = opts.raft.electionTicks
	settings.RaftHeartbeatTicks = opts.raft.heartbeatTicks
	settings.RaftStoreMaxLeaderLease = opts.raft.lease
	// One entry of the log at a time is applied. The library writes what it applies together as one transaction of its
	// database, which keeps a single version of each key: of a follower that catches up, snapshots would lack the others.
	settings.RaftMaxSizePerMsg = 1
	// What is sent to a store that is cut off waits in the connection, and when there is no room left, the thread of Raft
	// waits, and with it every region: let there be room for the longest of partitions.
	settings.GrpcRaftConnNum = 8
	settings.RaftMaxInflightMsgs = 32
	settings.PdHeartbeatTickInterval = 10 * opts.raft.tick
	settings.PdStoreHeartbeatTickInterval = 10 * opts.raft.tick
	settings.RaftLogGcThreshold = math.MaxUint64 / 2
	settings.RaftLogGcCountLimit = math.MaxUint64 / 2
	settings.RaftLogGcSizeLimit = math.MaxUint64 / 2
	return settings, settings.Validate()
}

// first returns the first of the values that is not empty.
func first[T comparable](values ...T) T {
	var empty T
	for _, value := range values {
		if value != empty {
			return value
		}
	}
	return empty
}

func duration(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	return time.ParseDuration(text)
}
