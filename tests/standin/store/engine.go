package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ngaut/unistore/config"
	"github.com/ngaut/unistore/lockstore"
	"github.com/ngaut/unistore/pd"
	"github.com/ngaut/unistore/tikv"
	"github.com/ngaut/unistore/tikv/mvcc"
	"github.com/ngaut/unistore/tikv/raftstore"
	"github.com/pingcap/badger"
)

const (
	lockMemory = 8 << 20
	valueLog   = 64 << 20
)

// openStore opens the two databases below the data directory, recovers the locks and joins the cluster.
func openStore(opts options, client pd.Client) (*tikv.Server, error) {
	dirs := map[string]string{}
	for _, name := range []string{"kv", "raft", "snap"} {
		dirs[name] = filepath.Join(opts.dataDir, name)
		if err := os.MkdirAll(dirs[name], 0o755); err != nil {
			return nil, err
		}
	}
	physical, logical, err := client.GetTS(context.Background())
	if err != nil {
		return nil, fmt.Errorf("PD gives no timestamp: %w", err)
	}
	safePoint := &tikv.SafePoint{}
	kv, err := openKV(dirs["kv"], safePoint)
	if err != nil {
		return nil, err
	}
	raft, err := openRaft(dirs["raft"])
	if err != nil {
		return nil, err
	}
	bundle := &mvcc.DBBundle{
		DB:        kv,
		LockStore: lockstore.NewMemStore(lockMemory),
		StateTS:   uint64(physical)<<18 | uint64(logical),
	}
	// The locks live in memory only; the whole Raft log is kept, so they are read back from its beginning.
	if err := raftstore.RestoreLockStore(0, bundle, raft); err != nil {
		return nil, err
	}
	engines := raftstore.NewEngines(bundle, raft, dirs["kv"], dirs["raft"])
	return join(opts, dirs["snap"], engines, bundle, safePoint, client)
}

// join starts the replication and returns the server that answers clients.
func join(
	opts options, snapDir string, engines *raftstore.Engines, bundle *mvcc.DBBundle, safePoint *tikv.SafePoint,
	client pd.Client,
) (*tikv.Server, error) {
	settings := config.DefaultConf
	settings.Server.StoreAddr = opts.advertise
	settings.Server.PDAddr = opts.pd
	settings.Engine.DBPath = opts.dataDir

	splitter := &splitter{Client: client, statusAddr: opts.advertiseStatus}
	raft, err := raftSettings(opts, snapDir)
	if err != nil {
		return nil, err
	}
	inner := raftstore.NewRaftInnerServer(&settings, engines, raft)
	inner.Setup(splitter)
	router := inner.GetRaftstoreRouter()
	splitter.router = router
	data := tikv.NewMVCCStore(
		&settings, bundle, opts.dataDir, safePoint, raftstore.NewDBWriter(&settings, router), splitter,
	)
	regions := tikv.NewRaftRegionManager(inner.GetStoreMeta(), router, data.DeadlockDetectSvr)
	inner.SetPeerEventObserver(regions)
	if err := inner.Start(splitter); err != nil {
		return nil, err
	}
	data.StartDeadlockDetection(true)
	return tikv.NewServer(regions, data, inner), nil
}

func openKV(dir string, safePoint *tikv.SafePoint) (*badger.DB, error) {
	settings := smallDB(dir)
	settings.ManagedTxns = true
	settings.CompactionFilterFactory = safePoint.CreateCompactionFilter
	return badger.Open(settings)
}

func openRaft(dir string) (*badger.DB, error) {
	settings := smallDB(dir)
	settings.ValueThreshold = 0
	settings.CompactionFilterFactory = raftstore.CreateRaftLogCompactionFilter
	settings.SyncWrites = true // an acknowledged write must survive a kill of the machine too
	return badger.Open(settings)
}

func smallDB(dir string) badger.Options {
	settings := badger.DefaultOptions
	settings.Dir = dir
	settings.ValueDir = dir
	settings.ValueLogFileSize = valueLog
	settings.ValueLogMaxNumFiles = 1000 // the locks are read back from the log: none of it may go
	settings.MaxMemTableSize = 16 << 20
	settings.NumCompactors = 1
	settings.MaxBlockCacheSize = 0
	settings.MaxIndexCacheSize = 0
	return settings
}
