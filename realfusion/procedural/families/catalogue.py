"""The catalogue of families: a name, a recipe and typical colours each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realfusion.procedural.builder import Builder
from realfusion.procedural.families import (
    abstract,
    appliances,
    belongings,
    creatures,
    devices,
    furniture,
    gadgets,
    household,
    kitchen,
    nature,
    objects,
    packages,
    vehicles,
)


@dataclass(frozen=True)
class Family:
    """A kind of object.

    A new family is one function that adds parts to a :class:`Builder`, and one entry
    in :data:`FAMILIES` below.
    """

    build: Callable[[Builder], None]
    """Adds the parts of one random instance."""
    colours: tuple[str, ...] = ()
    """Usual main colours; any where empty."""
    is_held_out: bool = False
    """Never trained on; measures what the prior does with unknown kinds."""

    @property
    def name(self) -> str:
        """What a caption calls it."""
        return self.build.__name__.replace("_", " ")


FAMILIES: tuple[Family, ...] = (
    Family(household.mug),
    Family(household.bowl),
    Family(household.bottle),
    Family(household.can),
    Family(household.carton),
    Family(household.teapot),
    Family(household.watering_can, is_held_out=True),
    Family(household.vase),
    Family(household.goblet),
    Family(household.basket, ("brown", "beige", "white", "gray")),
    Family(household.lamp),
    Family(household.chair),
    Family(household.table),
    Family(household.sofa),
    Family(household.bed),
    Family(household.clock),
    Family(household.book),
    Family(household.television, ("black", "gray", "brown", "white")),
    Family(household.candle),
    Family(vehicles.car),
    Family(vehicles.truck),
    Family(vehicles.bus),
    Family(vehicles.train),
    Family(vehicles.airplane),
    Family(vehicles.boat),
    Family(vehicles.rocket),
    Family(creatures.dog),
    Family(creatures.cat),
    Family(creatures.sitting_cat),
    Family(creatures.cow, ("white", "brown", "black")),
    Family(creatures.horse),
    Family(creatures.elephant, ("gray", "blue", "pink")),
    Family(creatures.pig, ("pink",)),
    Family(creatures.duck),
    Family(creatures.bird),
    Family(creatures.fish),
    Family(creatures.teddy_bear),
    Family(creatures.rabbit, is_held_out=True),
    Family(creatures.turtle, ("green", "brown")),
    Family(creatures.snowman),
    Family(creatures.robot),
    Family(creatures.person),
    Family(creatures.bust, ("white", "gray", "beige", "black")),
    Family(nature.apple, ("red", "green", "yellow")),
    Family(nature.pear, ("green", "yellow", "orange")),
    Family(nature.banana, ("yellow", "green")),
    Family(nature.cherries, ("red", "purple")),
    Family(nature.strawberry, ("red", "orange", "pink")),
    Family(nature.pineapple, ("yellow", "brown")),
    Family(nature.pumpkin, ("orange", "green", "white")),
    Family(nature.mushroom, ("red", "brown", "beige")),
    Family(nature.cake),
    Family(nature.burger, ("yellow", "red")),
    Family(nature.ice_cream, is_held_out=True),
    Family(nature.tree, ("green", "orange", "yellow")),
    Family(nature.cactus, ("green",)),
    Family(nature.potted_plant, ("green", "purple")),
    Family(nature.flower),
    Family(objects.ball),
    Family(objects.brick),
    Family(objects.blocks),
    Family(objects.house),
    Family(objects.tower),
    Family(objects.shoe, is_held_out=True),
    Family(objects.hat),
    Family(objects.bag),
    Family(objects.camera, ("black", "gray", "red")),
    Family(objects.hammer),
    Family(objects.guitar),
    Family(objects.umbrella),
    Family(objects.crown, ("yellow", "gray")),
    Family(objects.chess_pawn, is_held_out=True),
    Family(objects.trophy, ("yellow", "gray")),
    Family(objects.gift),
    Family(kitchen.kettle),
    Family(kitchen.saucepan),
    Family(kitchen.frying_pan),
    Family(kitchen.cooking_pot),
    Family(kitchen.jug),
    Family(kitchen.thermos),
    Family(kitchen.jar),
    Family(kitchen.toaster),
    Family(kitchen.cup_and_saucer),
    Family(kitchen.plates),
    Family(kitchen.egg_cup),
    Family(kitchen.pepper_mill),
    Family(kitchen.salt_shaker),
    Family(appliances.moka_pot, ("gray", "black", "red")),
    Family(appliances.coffee_machine, ("black", "white", "gray", "red")),
    Family(appliances.mortar, ("gray", "white", "brown")),
    Family(appliances.knife_block),
    Family(appliances.blender),
    Family(appliances.microwave, ("black", "white", "gray")),
    Family(appliances.kitchen_scale),
    Family(packages.milk_carton),
    Family(packages.squeeze_tube),
    Family(packages.spray_bottle),
    Family(packages.soap_dispenser),
    Family(packages.perfume_bottle),
    Family(packages.spray_can),
    Family(packages.detergent_bottle),
    Family(packages.crisp_packet),
    Family(packages.tissue_box),
    Family(packages.egg_box),
    Family(packages.shopping_bag),
    Family(devices.headphones),
    Family(devices.game_controller),
    Family(devices.laptop),
    Family(devices.telephone),
    Family(devices.radio),
    Family(devices.computer_mouse),
    Family(devices.loudspeaker, ("black", "brown", "gray", "white")),
    Family(gadgets.power_drill, ("yellow", "blue", "green", "red", "orange")),
    Family(gadgets.hair_dryer),
    Family(gadgets.iron),
    Family(gadgets.stapler),
    Family(gadgets.wrist_watch),
    Family(gadgets.desk_fan),
    Family(gadgets.binoculars, ("black", "green", "gray")),
    Family(gadgets.flashlight),
    Family(gadgets.scissors),
    Family(belongings.bucket),
    Family(belongings.barrel, ("brown", "blue", "black")),
    Family(belongings.toolbox, ("red", "blue", "black", "yellow")),
    Family(belongings.lantern),
    Family(belongings.suitcase),
    Family(belongings.backpack),
    Family(belongings.helmet),
    Family(belongings.crate, ("brown", "beige", "green", "red", "blue")),
    Family(belongings.snare_drum),
    Family(furniture.stool),
    Family(furniture.armchair),
    Family(furniture.dresser, ("brown", "white", "beige", "gray")),
    Family(furniture.bookshelf, ("brown", "white", "black")),
)
"""All named families."""

ABSTRACT_FAMILIES: tuple[Family, ...] = (
    Family(abstract.composite),
    Family(abstract.turned),
    Family(abstract.extruded),
    Family(abstract.branching),
    Family(abstract.stacked),
    Family(abstract.blob),
)
"""Recipes of unnamed objects; captions call them "object"."""

_TABLE_TOP = {
    module.__name__
    for module in (
        household,
        kitchen,
        appliances,
        packages,
        devices,
        gadgets,
        belongings,
    )
}

EVERYDAY_FAMILIES: tuple[Family, ...] = tuple(
    family
    for family in FAMILIES
    if not family.is_held_out
    and (
        family.build.__module__ in _TABLE_TOP
        or family.build
        in (objects.ball, objects.brick, objects.bag, objects.gift, objects.blocks)
    )
)
"""Named families of things on a table: mostly boxes, vessels and balls."""
