#include "tests/sim/scenario.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <sstream>

namespace sluice::sim {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kNames = {
    "kill",        "power",       "stop",        "pause",       "cut",
    "reset",       "slow",        "narrow",      "flip",        "short-io",
    "disk-stall",  "disk-full",   "disk-short",  "read-error",  "write-error",
    "sync-error",  "misdirected-write", "misdirected-read", "flip-on-read", "rot",
    "wipe",        "old-disk",    "isolate",     "pair",        "mute"};

bool needs_liar(FaultKind kind) {
  switch (kind) {
    case FaultKind::kReadError:
    case FaultKind::kWriteError:
    case FaultKind::kSyncError:
    case FaultKind::kMisdirectedWrite:
    case FaultKind::kMisdirectedRead:
    case FaultKind::kFlipOnRead:
    case FaultKind::kRot:
    case FaultKind::kWipe:
    case FaultKind::kOldDisk:
      return true;
    default:
      return false;
  }
}

class Drawer {
 public:
  Drawer(std::uint64_t seed, const DrawOptions& options)
      : random_(seed, options.liveness ? "liveness" : "safety"), options_(options) {
    scenario_.seed = seed;
    scenario_.liveness = options.liveness;
  }

  Scenario draw() {
    draw_cluster();
    draw_workload();
    if (!options_.calm) draw_faults();
    return std::move(scenario_);
  }

 private:
  void draw_cluster() {
    static constexpr std::uint32_t kNodes[] = {3, 3, 5};
    static constexpr std::uint32_t kShards[] = {1, 1, 2, 3};
    static constexpr std::uint32_t kTicks[] = {20, 20, 50};
    static constexpr std::uint32_t kElections[] = {200, 400, 800};
    static constexpr std::uint32_t kBatches[] = {4096, 4096, 16384};
    static constexpr const char* kPolicies[] = {"always", "always", "always", "always",
                                                "interval=10ms", "never"};
    static constexpr std::uint32_t kLatencies[] = {20, 200, 2000, 20'000};
    static constexpr std::uint32_t kDiskTimes[] = {150, 150, 2000, 20'000};
    static constexpr std::uint32_t kDiskByteTimes[] = {0, 0, 50, 100};
    Scenario& s = scenario_;
    s.nodes = random_.pick(kNodes);
    s.shards = random_.pick(kShards);
    s.groups = static_cast<std::uint32_t>(random_.between(s.shards, s.shards + 3));
    s.clients = static_cast<std::uint32_t>(random_.between(1, 3));
    s.tick_ms = random_.pick(kTicks);
    s.election_ms = std::max(random_.pick(kElections), 6 * s.tick_ms);
    s.heartbeat_ms = std::max(s.election_ms / 5, s.tick_ms);
    s.fsync = random_.pick(kPolicies);
    s.batch_bytes_max = random_.pick(kBatches);
    // Small, so that rollovers, retirements and reads from disk happen all the time.
    s.segment_bytes = std::uint64_t{s.batch_bytes_max + 8192} * random_.between(4, 12);
    s.writes_inflight_max = static_cast<std::uint32_t>(random_.between(1, 4));
    s.inflight_bytes_max = random_.between(1, 16) * 8192;
    s.uncommitted_bytes_max = random_.between(4, 32) * 8192;
    // Slow enough for a follower that waits for a read to miss heartbeats, were they not sent meanwhile.
    if (Random(s.seed, "catch_up").below(3) == 0) s.catch_up_bytes_per_s_min = 4u << 20;
    s.latency_us = random_.pick(kLatencies);
    s.disk_us = random_.pick(kDiskTimes);
    // On some disks the bytes are what takes time: the next segment gets no zeros there.
    s.disk_us_per_kib = Random(s.seed, "disk bytes").pick(kDiskByteTimes);
    s.clock_ppm = random_.coin() ? static_cast<std::uint32_t>(random_.below(50'000)) : 0;
  }

  void draw_workload() {
    static constexpr std::uint32_t kIntervals[] = {5000, 20'000, 50'000};
    static constexpr std::uint32_t kSizes[] = {16, 200, 1500, 3000};
    Scenario& s = scenario_;
    s.producers = static_cast<std::uint32_t>(random_.below(4));
    s.interval_us = random_.pick(kIntervals);
    s.burst = static_cast<std::uint32_t>(random_.between(1, 6));
    s.entry_bytes_max = random_.pick(kSizes);
    s.window = static_cast<std::uint32_t>(random_.between(1, 64));
    s.plain = random_.coin() || s.producers == 0;
    s.named = random_.coin();
    s.reads = random_.coin();
    s.trims = random_.coin();
    s.locals = Random(s.seed, "locals").below(3) == 0;
    s.faults_end = random_.between(2, 6) * kSecond;
  }

  void draw_faults() {
    Scenario& s = scenario_;
    // Alone: anything else would come in between.
    if (s.nodes == 5 && random_.below(6) == 0) return draw_late_answers();
    if (s.nodes == 5 && random_.below(8) == 0) return draw_overwritten_writes();
    // Whose disk may lie: a minority, often nobody's.
    if (random_.coin()) {
      for (std::uint32_t left = (s.nodes - 1) / 2; left > 0; --left) {
        s.liars |= 1u << random_.below(s.nodes);
      }
    }
    std::vector<FaultKind> kinds;
    for (std::size_t i = 0; i < kFaultKinds; ++i) {
      const auto kind = static_cast<FaultKind>(i);
      const bool on = random_.coin();
      if (!on || (needs_liar(kind) && s.liars == 0)) continue;
      // A policy that promises nothing across a power failure gets none.
      if (s.fsync != "always" && (kind == FaultKind::kPower || needs_liar(kind))) continue;
      // With two liars one could forget whom it has met.
      if (kind == FaultKind::kWipe && std::popcount(s.liars) != 1) continue;
      // What the copy lacks may be trimmed before it has it again, since it had acknowledged it: such
      // a node has to be set up anew.
      if (kind == FaultKind::kOldDisk && s.trims) continue;
      kinds.push_back(kind);
    }
    if (kinds.empty()) return;
    // Up to three of them dominate.
    const std::size_t common = kinds.size();
    for (std::uint64_t i = random_.below(4); i > 0; --i) {
      kinds.insert(kinds.end(), 8, kinds[random_.below(common)]);
    }
    const std::uint64_t count = random_.between(1, random_.coin() ? 20 : 80);
    for (std::uint64_t i = 0; i < count; ++i) draw_fault(kinds[random_.below(kinds.size())]);
    if (random_.below(3) == 0) draw_partition();
    if (random_.below(3) == 0) draw_storm();
    const bool power = std::ranges::find(kinds, FaultKind::kPower) != kinds.end();
    if (power && random_.coin()) draw_outage();
    std::ranges::stable_sort(s.faults, {}, &Fault::at);
  }

  void draw_fault(FaultKind kind) {
    Scenario& s = scenario_;
    Fault f;
    f.kind = kind;
    f.at = random_.below(s.faults_end);
    // Most are short; some last.
    const Time longest = random_.below(4) == 0 ? s.faults_end : kSecond;
    f.until = f.at + random_.between(kMs, longest);
    f.a = needs_liar(kind) ? liar() : random_.below(s.nodes);
    // Whoever leads is the one whose failure shows most.
    const bool at_leader =
        !needs_liar(kind) && random_.below(3) < (kind == FaultKind::kIsolate ? 2 : 1);
    if (at_leader) f.a = leader();
    switch (kind) {
      case FaultKind::kCut:
      case FaultKind::kReset:
      case FaultKind::kPair:
        f.b = random_.below(s.nodes);
        break;
      case FaultKind::kSlow:
      case FaultKind::kNarrow:
      case FaultKind::kFlip:
      case FaultKind::kShortIo:
        f.a = random_.below(s.nodes + s.clients);
        f.b = random_.below(s.nodes);
        if (f.a == f.b) f.b = (f.b + 1) % s.nodes;
        if (random_.coin()) std::swap(f.a, f.b);
        break;
      default:
        break;
    }
    static constexpr std::uint64_t kRates[] = {1'000, 10'000, 100'000};
    switch (kind) {
      case FaultKind::kReset:
        f.amount = random_.below(2);
        break;
      case FaultKind::kPower:
        f.amount = random_.below(3) == 0 ? 1 : 0;
        break;
      case FaultKind::kMute:
        f.amount = random_.between(1'000, random_.coin() ? 100'000 : 700'000);
        break;
      case FaultKind::kSlow:
        f.amount = random_.between(1'000, random_.coin() ? 100'000 : 1'500'000);
        break;
      case FaultKind::kNarrow:
        f.amount = random_.between(1, 500);
        break;
      case FaultKind::kDiskFull:
        f.amount = random_.below(100);
        break;
      case FaultKind::kShortIo:
      case FaultKind::kDiskShort:
        f.amount = 300'000;
        break;
      default:
        f.amount = random_.pick(kRates);
        break;
    }
    s.faults.push_back(f);
    if (kind == FaultKind::kKill || kind == FaultKind::kPower) crash_again(f);
  }

  /// Starting is what is done least often: crashes fall into it on purpose.
  void crash_again(Fault f) {
    static constexpr FaultKind kEnds[] = {FaultKind::kKill, FaultKind::kPower};
    while (random_.below(3) == 0) {
      f.kind = scenario_.fsync == "always" ? random_.pick(kEnds) : FaultKind::kKill;
      f.at = random_.below(4) == 0 ? 0 : f.until;
      f.at += random_.below(50 * kMs);
      f.until = f.at + random_.between(kMs, 500 * kMs);
      scenario_.faults.push_back(f);
    }
  }

  /// Of some group: the one that leads at the time, or the one that is elected next.
  std::size_t leader() {
    const std::size_t group = random_.below(scenario_.groups);
    return (random_.below(3) == 0 ? kNextLeaderOf : kLeaderOf) + group;
  }

  /// What the hardest cases of Raft are made of: leaders that are cut off with entries nobody else
  /// has, while the others' disks and links are slow.
  void draw_storm() {
    Scenario& s = scenario_;
    const Time election = Time{s.election_ms} * kMs;
    for (std::uint64_t cycles = random_.between(1, 8); cycles > 0; --cycles) {
      const Time at = random_.below(s.faults_end);
      Fault f;
      f.kind = FaultKind::kIsolate;
      f.at = at;
      f.until = at + random_.between(election, 5 * election);
      f.a = leader();
      s.faults.push_back(f);
      for (std::uint64_t more = random_.below(4); more > 0; --more) {
        static constexpr FaultKind kKinds[] = {FaultKind::kDiskStall, FaultKind::kDiskStall,
                                               FaultKind::kPause, FaultKind::kKill,
                                               FaultKind::kSlow, FaultKind::kPower};
        f.kind = random_.pick(kKinds);
        if (f.kind == FaultKind::kPower && s.fsync != "always") continue;
        f.a = random_.coin() ? leader() : random_.below(s.nodes);
        f.b = random_.below(s.nodes);
        f.at = at + random_.below(2 * election);
        f.until = f.at + random_.between(election / 4, 4 * election);
        f.amount = random_.between(1'000, 2 * election / kUs);
        s.faults.push_back(f);
      }
    }
  }

  /// One follower's answers are late by more than an election, and leaders change quickly: what it
  /// acknowledged to a leader arrives when that node leads again, in a later term, and others have
  /// overwritten it meanwhile (S9). It takes five nodes: the two are left alone with their clients,
  /// the three elect a leader that nobody gives much to do, that one overwrites the old one's log
  /// and fails, and the follower hears nothing any more.
  void draw_late_answers() {
    Scenario& s = scenario_;
    const Time election = Time{s.election_ms} * kMs;
    const std::size_t follower = random_.below(s.nodes);
    const auto add = [&](FaultKind kind, Time at, Time lasts, std::size_t a, std::size_t b) {
      s.faults.push_back({.kind = kind, .at = at, .until = at + lasts, .a = a, .b = b});
    };
    for (Time at = 3 * election; at < s.faults_end; at += 10 * election) {
      // A link that is silent for four time-outs is given up.
      add(FaultKind::kMute, at, 6 * election, follower, 0);
      s.faults.back().amount = random_.between(5 * election / 2, 4 * election) / kUs;
      const Time apart = at + random_.between(election / 4, election);
      const Time together = apart + random_.between(5 * election / 4, 2 * election);
      const std::size_t old_leader = kLeaderOf + random_.below(s.groups);
      add(FaultKind::kPair, apart, together - apart, old_leader, follower);
      for (std::size_t client = s.nodes; client < s.nodes + s.clients; ++client) {
        for (std::size_t i = 0; i < s.nodes; ++i) {
          const Time lasts = together + random_.below(election) - apart - election;
          add(FaultKind::kCut, apart + election, lasts, client, i);
        }
      }
      for (std::size_t i = 0; i < s.nodes; ++i) {
        if (i != follower) add(FaultKind::kCut, together, 4 * election, i, follower);
      }
      add(FaultKind::kPause, together + random_.below(election / 2), 3 * election, old_leader, 0);
    }
    std::ranges::stable_sort(s.faults, {}, &Fault::at);
  }

  /// A follower's disk stalls with writes on their way, and what they hold is overwritten by another
  /// leader before they complete (S6). Again two of five nodes are left alone with their clients.
  void draw_overwritten_writes() {
    Scenario& s = scenario_;
    // Enough to do that several chunks wait for the disk.
    s.producers = std::max(s.producers, 2u);
    s.interval_us = 5000;
    s.burst = 6;
    s.window = 64;
    s.entry_bytes_max = std::max(s.entry_bytes_max, 1500u);
    const Time election = Time{s.election_ms} * kMs;
    for (Time at = 3 * election; at < s.faults_end; at += 8 * election) {
      const std::size_t old_leader = kLeaderOf + random_.below(s.groups);
      const std::size_t follower = random_.below(s.nodes);
      const Time together = at + random_.between(5 * election / 4, 3 * election);
      const Time stalled = at + random_.below(election);
      s.faults.push_back({.kind = FaultKind::kPair, .at = at, .until = together, .a = old_leader,
                          .b = follower});
      s.faults.push_back({.kind = FaultKind::kDiskStall, .at = stalled,
                          .until = together + random_.below(2 * election), .a = follower});
    }
    std::ranges::stable_sort(s.faults, {}, &Fault::at);
  }

  /// Every machine loses power at about the same time, perhaps more than once.
  void draw_outage() {
    Scenario& s = scenario_;
    for (std::uint64_t times = random_.between(1, 4); times > 0; --times) {
      const Time at = random_.below(s.faults_end);
      for (std::size_t i = 0; i < s.nodes; ++i) {
        Fault f;
        f.kind = FaultKind::kPower;
        f.at = at + (random_.coin() ? 0 : random_.below(5 * kMs));
        f.until = f.at + random_.between(kMs, 300 * kMs);
        f.a = i;
        s.faults.push_back(f);
      }
    }
  }

  std::size_t liar() {
    for (;;) {
      const std::size_t node = random_.below(scenario_.nodes);
      if ((scenario_.liars >> node & 1) != 0) return node;
    }
  }

  /// Halves, a bridge (one node sees both sides), or a ring (each sees two neighbours).
  void draw_partition() {
    Scenario& s = scenario_;
    Fault f;
    f.kind = FaultKind::kCut;
    f.at = random_.below(s.faults_end);
    f.until = f.at + random_.between(100 * kMs, s.faults_end);
    const std::uint64_t shape = random_.below(3);
    const std::size_t n = s.nodes;
    const std::size_t shift = random_.below(n);
    const auto separated = [&](std::size_t i, std::size_t j) {
      if (shape == 2) return (i + 1) % n != j && (j + 1) % n != i;
      if (shape == 1 && (i == n - 1 || j == n - 1)) return false;
      return (i < n / 2) != (j < n / 2);
    };
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j || !separated(i, j)) continue;
        f.a = (i + shift) % n;
        f.b = (j + shift) % n;
        s.faults.push_back(f);
      }
    }
  }

  Random random_;
  DrawOptions options_;
  Scenario scenario_;
};

/// Calls field(name, value) for every setting.
template <class S, class F>
void for_settings(S& s, F&& field) {
  field("seed", s.seed);
  field("liveness", s.liveness);
  field("nodes", s.nodes);
  field("shards", s.shards);
  field("groups", s.groups);
  field("clients", s.clients);
  field("fsync", s.fsync);
  field("tick_ms", s.tick_ms);
  field("election_ms", s.election_ms);
  field("heartbeat_ms", s.heartbeat_ms);
  field("batch_bytes_max", s.batch_bytes_max);
  field("segment_bytes", s.segment_bytes);
  field("writes_inflight_max", s.writes_inflight_max);
  field("inflight_bytes_max", s.inflight_bytes_max);
  field("uncommitted_bytes_max", s.uncommitted_bytes_max);
  field("catch_up_bytes_per_s_min", s.catch_up_bytes_per_s_min);
  field("latency_us", s.latency_us);
  field("disk_us", s.disk_us);
  field("disk_us_per_kib", s.disk_us_per_kib);
  field("clock_ppm", s.clock_ppm);
  field("producers", s.producers);
  field("interval_us", s.interval_us);
  field("burst", s.burst);
  field("entry_bytes_max", s.entry_bytes_max);
  field("window", s.window);
  field("operations_max", s.operations_max);
  field("plain", s.plain);
  field("named", s.named);
  field("reads", s.reads);
  field("trims", s.trims);
  field("locals", s.locals);
  field("faults_end", s.faults_end);
  field("events_max", s.events_max);
  field("liars", s.liars);
}

bool parse_value(std::string_view text, std::string& value) {
  value = text;
  return true;
}
bool parse_value(std::string_view text, bool& value) {
  value = text == "1";
  return text == "0" || text == "1";
}
template <class T>
bool parse_value(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Scenario draw_scenario(std::uint64_t seed, const DrawOptions& options) {
  return Drawer(seed, options).draw();
}

std::string to_text(const Fault& fault) {
  std::ostringstream out;
  out << "fault " << kNames[static_cast<std::size_t>(fault.kind)] << " at=" << fault.at
      << " until=" << fault.until << " a=" << fault.a << " b=" << fault.b
      << " amount=" << fault.amount;
  return out.str();
}

std::string to_text(const Scenario& scenario) {
  std::ostringstream out;
  out << "# sluice simulator scenario; times in ns, machines from 0: nodes, then clients\n";
  for_settings(scenario, [&](std::string_view name, const auto& value) {
    out << name << ' ' << value << '\n';
  });
  for (const Fault& fault : scenario.faults) out << to_text(fault) << '\n';
  return out.str();
}

std::expected<Scenario, std::string> parse_scenario(std::string_view text) {
  Scenario scenario;
  std::istringstream in{std::string(text)};
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty() || line.starts_with('#')) continue;
    std::istringstream words(line);
    std::string name, value;
    words >> name >> value;
    if (name == "fault") {
      Fault fault;
      const auto kind = std::ranges::find(kNames, value);
      if (kind == kNames.end()) return std::unexpected("no such fault: " + value);
      fault.kind = static_cast<FaultKind>(kind - kNames.begin());
      std::string part;
      while (words >> part) {
        const auto equals = part.find('=');
        if (equals == std::string::npos) return std::unexpected("not NAME=VALUE: " + part);
        const std::string key = part.substr(0, equals);
        const std::string_view number = std::string_view(part).substr(equals + 1);
        bool good = false;
        if (key == "at") good = parse_value(number, fault.at);
        if (key == "until") good = parse_value(number, fault.until);
        if (key == "a") good = parse_value(number, fault.a);
        if (key == "b") good = parse_value(number, fault.b);
        if (key == "amount") good = parse_value(number, fault.amount);
        if (!good) return std::unexpected("not understood: " + part);
      }
      scenario.faults.push_back(fault);
      continue;
    }
    bool known = false, good = false;
    for_settings(scenario, [&](std::string_view setting, auto& field) {
      if (setting != name) return;
      known = true;
      good = parse_value(value, field);
    });
    if (!known) return std::unexpected("no such setting: " + name);
    if (!good) return std::unexpected("not a value of " + name + ": " + value);
  }
  return scenario;
}

}  // namespace sluice::sim
