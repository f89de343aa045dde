// sluice inspect: reads a stopped node's directory, changing nothing.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/uring_io.h"
#include "engine/shard/identity.h"
#include "segments/names.h"
#include "segments/recovery.h"
#include "segments/replay.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/inspect_report.h"
#include "tools/json.h"
#include "wire/checksum.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

/// A whole file in memory, as it lies on disk.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info {};
    if (file >= 0 && ::fstat(file, &info) == 0) size_ = static_cast<std::size_t>(info.st_size);
    if (file >= 0 && size_ > 0) {
      void* const data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
      data_ = data == MAP_FAILED ? nullptr : data;
    }
    const int error = errno;
    if (file >= 0) ::close(file);
    if (file < 0 || (size_ > 0 && data_ == nullptr))
      throw Failure(fmt::format("cannot read {}: {}", path.string(), std::strerror(error)));
  }
  ~MappedFile() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(data_), size_};
  }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

SegmentFacts facts_of(const segments::SegmentScan& scan) {
  SegmentFacts facts;
  facts.name = scan.name;
  facts.epoch = scan.epoch;
  facts.file_bytes = scan.file_bytes;
  facts.used_bytes = scan.end_offset;
  facts.header = scan.header == Errc::kOk ? "ok" : code_name(scan.header);
  facts.chunks = scan.chunks.size();
  facts.chunks_damaged = static_cast<std::uint64_t>(
      std::ranges::count(scan.chunks, false, &segments::FoundChunk::valid));
  facts.torn = scan.dirty_end;
  return facts;
}

GroupFacts facts_of(GroupId group, const segments::GroupState& state) {
  const segments::GroupIndex& index = state.index;
  GroupFacts facts;
  facts.group = group;
  facts.first_index = index.first_index();
  facts.last_index = index.last_index();
  facts.batches = index.batch_count();
  if (facts.batches > 0) {
    facts.first_term = index.batch(0).term;
    facts.last_term = index.last_term();
  }
  facts.term = state.hard_state.term;
  facts.vote = state.hard_state.vote;
  return facts;
}

/// What judge() and replay say of the scans.
void conclude(const segments::Options& options, std::vector<segments::SegmentScan> scans,
              std::vector<segments::OtherFile> others, segments::Replay& replay,
              ShardFacts& facts) {
  const auto note = [&](const std::vector<segments::Damage>& damage) {
    for (const segments::Damage& one : damage) facts.damage.push_back(one.what);
  };
  auto verdict = segments::judge(options, std::move(scans), std::move(others));
  if (!verdict) return note(verdict.error());
  facts.torn_tail = verdict->torn_tail;
  facts.last_seq = verdict->end.last_seq;
  facts.durable_seq = verdict->durable_seq;
  for (const segments::Verdict::Live& live : verdict->live) {
    const auto segment = std::ranges::find(facts.segments, live.epoch, &SegmentFacts::epoch);
    if (segment == facts.segments.end() || live.first > live.last) continue;
    segment->first_live = live.first;
    segment->last_live = live.last;
  }
  const auto groups = replay.finish(*verdict);
  if (!groups) return note(groups.error());
  for (const auto& [group, state] : *groups) facts.groups.push_back(facts_of(group, state));
  for (const auto& [node, peer] : replay.peers()) facts.peers.push_back({node, peer.directory});
}

ShardFacts inspect_shard(const std::string& data_dir, const shard::DirectoryIdentity& identity,
                         ShardId shard) {
  ShardFacts facts;
  facts.shard = shard;
  segments::Options options;
  options.cluster = cluster_id_of(identity.cluster_name);
  options.directory = identity.directory;
  options.shard = shard;

  std::vector<fs::path> segment_paths;
  std::vector<segments::OtherFile> others;
  std::error_code error;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(shard::shard_directory(data_dir, shard), error)) {
    std::error_code ignored;
    const std::string name = entry.path().filename();
    if (segments::parse_segment_name(name)) {
      segment_paths.push_back(entry.path());
      options.segment_bytes = std::max(options.segment_bytes, entry.file_size(ignored));
    } else {
      others.push_back({name, entry.is_regular_file(ignored) ? entry.file_size(ignored) : 0});
    }
  }
  if (error) {
    facts.damage.push_back(fmt::format("{} cannot be read: {}",
                                       shard::shard_directory(data_dir, shard), error.message()));
    return facts;
  }
  std::ranges::sort(segment_paths);
  facts.spares = others.size();
  segments::Replay replay;
  std::vector<segments::SegmentScan> scans;
  for (const fs::path& path : segment_paths) {
    const MappedFile file(path);
    scans.push_back(segments::scan_segment(
        options, path.filename(), file.bytes(),
        [&](const segments::FoundChunk&, const segments::Record& record) { replay.add(record); }));
    facts.segments.push_back(facts_of(scans.back()));
  }
  conclude(options, std::move(scans), std::move(others), replay, facts);
  return facts;
}

class Inspect : public Command {
 public:
  const char* name() const override { return "inspect"; }
  const char* summary() const override {
    return "Reads the directory of a stopped node and shows its segments, groups and checksums; "
           "changes nothing. Exit status 1 if anything is damaged; a torn tail, as a kill or a "
           "power failure leaves it, is not damage.";
  }

  void declare(OptionSet& options) override {
    options.positional("DIR", directory_, "the --data-dir of the node");
    options.require("DIR");
    options.flag("json", json_, "print one JSON object");
  }

  int run(const OptionSet&) override {
    int error = 0;
    Result<std::unique_ptr<io::Io>> ring = io::make_uring_io({}, error);
    if (!ring) throw Failure(fmt::format("io_uring cannot be used: {}", std::strerror(error)));
    // The lock is held until the ring goes: a node that starts meanwhile is refused.
    const auto opened = shard::open_directory_read_only(**ring, directory_);
    if (!opened) throw Failure(opened.error());
    DirectoryFacts facts;
    facts.path = directory_;
    facts.identity = opened->identity;
    for (std::uint32_t shard = 0; shard < facts.identity.shards; ++shard)
      facts.shards.push_back(inspect_shard(directory_, facts.identity, ShardId(shard)));
    fmt::print("{}", json_ ? inspect_json(facts).dump() + "\n" : inspect_text(facts));
    (*ring)->close(opened->lock);
    return facts.damaged() ? kExitFailure : kExitOk;
  }

 private:
  std::string directory_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_inspect_command() { return std::make_unique<Inspect>(); }

}  // namespace sluice::tools
