#include "tests/segments/memory_disk.h"

#include <algorithm>
#include <cstring>

#include "wire/check.h"

namespace sluice::segments::test {
namespace {

void grow(MemoryDisk::Bytes& bytes, std::size_t size) {
  if (bytes.size() < size) bytes.resize(size);
}

}  // namespace

// --- the directory -------------------------------------------------------------------------------

/// A name that is used again is one entry of the directory: whoever had it before lost it for good.
void MemoryDisk::free_name(const std::string& name) {
  for (File& file : files_) {
    const auto had = std::ranges::find(file.names, name);
    if (had != file.names.end()) file.names.erase(file.names.begin(), had + 1);
  }
}

void MemoryDisk::create(const std::string& name) {
  SLUICE_CHECK(!names_.contains(name));
  free_name(name);
  files_.emplace_back().names = {"", name};
  names_[name] = files_.size() - 1;
}

void MemoryDisk::set_name(Inode inode, const std::string& name) {
  files_[inode].names.push_back(name);
}

void MemoryDisk::rename(const std::string& from, const std::string& to) {
  SLUICE_CHECK(names_.contains(from) && !names_.contains(to));
  const Inode inode = names_.at(from);
  free_name(to);
  names_.erase(from);
  names_[to] = inode;
  set_name(inode, to);
}

void MemoryDisk::unlink(const std::string& name) {
  SLUICE_CHECK(names_.contains(name));
  set_name(names_.at(name), "");
  names_.erase(name);
}

void MemoryDisk::sync_directory() {
  for (File& file : files_) {
    if (!file.names.empty()) file.names = {file.names.back()};
  }
}

std::vector<std::string> MemoryDisk::names() const {
  std::vector<std::string> result;
  for (const auto& [name, inode] : names_) result.push_back(name);
  return result;
}

// --- data ----------------------------------------------------------------------------------------

MemoryDisk::WriteId MemoryDisk::submit(Inode inode, std::uint64_t offset,
                                       std::span<const std::byte> bytes) {
  files_[inode].pending.push_back({next_id_, offset, Bytes(bytes.begin(), bytes.end()), false});
  return next_id_++;
}

MemoryDisk::WriteId MemoryDisk::write(Inode inode, std::uint64_t offset,
                                      std::span<const std::byte> bytes) {
  const WriteId id = submit(inode, offset, bytes);
  land(id, false);
  return id;
}

MemoryDisk::Write& MemoryDisk::find(WriteId id, File*& file) {
  for (File& at : files_) {
    const auto write = std::ranges::find(at.pending, id, &Write::id);
    if (write != at.pending.end()) {
      file = &at;
      return *write;
    }
  }
  SLUICE_CHECK(false);
  std::abort();
}

void MemoryDisk::apply(Bytes& to, const Write& write) {
  grow(to, write.offset + write.bytes.size());
  std::ranges::copy(write.bytes, to.begin() + static_cast<std::ptrdiff_t>(write.offset));
}

void MemoryDisk::land(WriteId id, bool durable) {
  File* file = nullptr;
  Write& write = find(id, file);
  write.visible = true;
  if (!durable) return;
  apply(file->stable, write);
  std::erase_if(file->pending, [id](const Write& w) { return w.id == id; });
}

void MemoryDisk::drop(WriteId id) {
  File* file = nullptr;
  (void)find(id, file);
  std::erase_if(file->pending, [id](const Write& w) { return w.id == id; });
}

void MemoryDisk::sync(Inode inode) {
  File& file = files_[inode];
  for (const Write& write : file.pending) {
    if (write.visible) apply(file.stable, write);
  }
  std::erase_if(file.pending, [](const Write& w) { return w.visible; });
}

MemoryDisk::Bytes MemoryDisk::read(const std::string& name) const {
  const File& file = files_[names_.at(name)];
  Bytes bytes = file.stable;
  for (const Write& write : file.pending) {
    if (write.visible) apply(bytes, write);
  }
  return bytes;
}

std::size_t MemoryDisk::size(const std::string& name) const {
  const File& file = files_[names_.at(name)];
  std::size_t size = file.stable.size();
  for (const Write& write : file.pending) {
    if (write.visible)
      size = std::max(size, static_cast<std::size_t>(write.offset) + write.bytes.size());
  }
  return size;
}

void MemoryDisk::flip(const std::string& name, std::uint64_t offset, std::byte mask) {
  File& file = files_[names_.at(name)];
  SLUICE_CHECK(file.pending.empty());
  file.stable[offset] ^= mask;
}

// --- crashes -------------------------------------------------------------------------------------

void MemoryDisk::apply_sector(Bytes& to, const Write& write, const SectorFate& fate) {
  const std::size_t begin = fate.sector * kSectorBytes;
  std::size_t count = std::min(kSectorBytes, write.bytes.size() - begin);
  if (fate.what == SectorFate::kLost) return;
  if (fate.what == SectorFate::kTorn) count /= 2;
  std::byte* at = nullptr;
  grow(to, write.offset + begin + count);
  at = to.data() + write.offset + begin;
  if (fate.what == SectorFate::kZeroed) {
    std::memset(at, 0, count);
  } else {
    std::memcpy(at, write.bytes.data() + begin, count);
  }
}

/// Kept whole, lost whole, a prefix, all but one sector, or each sector on its own.
void MemoryDisk::settle_write(Bytes& to, const Write& write, Random& random) {
  const std::size_t sectors = (write.bytes.size() + kSectorBytes - 1) / kSectorBytes;
  const std::uint64_t mode = random.below(6);
  const std::size_t cut = random.below(sectors + 1);
  for (std::size_t i = 0; i < sectors; ++i) {
    SectorFate fate{.sector = i};
    if (mode == 1) fate.what = SectorFate::kLost;
    if (mode == 2 && i >= cut) fate.what = SectorFate::kLost;
    if (mode == 3 && i < cut) fate.what = SectorFate::kLost;
    if (mode == 4 && i == cut)
      fate.what = random.one_in(2) ? SectorFate::kZeroed : SectorFate::kTorn;
    if (mode == 5) {
      fate.what = static_cast<decltype(fate.what)>(random.below(4));
    }
    apply_sector(to, write, fate);
  }
}

void MemoryDisk::lose_power(Random& random, Fate fate) {
  std::map<std::string, Inode> left;
  for (Inode i = 0; i < files_.size(); ++i) {
    File& file = files_[i];
    if (file.names.empty()) continue;
    std::size_t pick = file.names.size() - 1;
    if (fate == Fate::kAllLost) pick = 0;
    if (fate == Fate::kRandom) pick = random.below(file.names.size());
    file.names = {file.names[pick]};
    if (!file.names[0].empty()) {
      SLUICE_CHECK(!left.contains(file.names[0]));
      left[file.names[0]] = i;
    }
    for (const Write& write : file.pending) {
      if (fate == Fate::kAllKept) apply(file.stable, write);
      if (fate == Fate::kRandom) settle_write(file.stable, write, random);
    }
    file.pending.clear();
  }
  names_ = std::move(left);
}

void MemoryDisk::lose_power_keeping(WriteId id, std::size_t sectors, bool others_kept) {
  File* file = nullptr;
  const Write partly = find(id, file);
  const auto inode = static_cast<Inode>(file - files_.data());
  std::erase_if(file->pending, [id](const Write& w) { return w.id == id; });
  Random unused(0);
  lose_power(unused, others_kept ? Fate::kAllKept : Fate::kAllLost);
  for (std::size_t i = 0; i < sectors; ++i)
    apply_sector(files_[inode].stable, partly, {.sector = i});
}

std::vector<MemoryDisk::WriteId> MemoryDisk::submitted() const {
  std::vector<WriteId> result;
  for (const File& file : files_) {
    for (const Write& write : file.pending) {
      if (!write.visible) result.push_back(write.id);
    }
  }
  return result;
}

std::size_t MemoryDisk::sectors_of(WriteId id) const {
  for (const File& file : files_) {
    for (const Write& write : file.pending) {
      if (write.id == id) return (write.bytes.size() + kSectorBytes - 1) / kSectorBytes;
    }
  }
  return 0;
}

}  // namespace sluice::segments::test
