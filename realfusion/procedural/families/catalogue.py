"""The catalogue of families: a name, a recipe and typical colours each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realfusion.procedural.builder import Builder
from realfusion.procedural.families import (
    abstract,
    beasts,
    buildings,
    crafts,
    creatures,
    critters,
    figures,
    food,
    household,
    instruments,
    meals,
    nature,
    objects,
    outdoors,
    reptiles,
    rides,
    toys,
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
    Family(reptiles.dinosaur, ("green", "brown", "gray", "orange")),
    Family(reptiles.dragon, ("green", "red", "purple", "blue")),
    Family(beasts.lion, ("orange", "yellow", "beige", "brown", "white")),
    Family(beasts.lying_dog, ("brown", "beige", "white", "black", "gray")),
    Family(beasts.fox, ("orange", "red", "gray", "white")),
    Family(beasts.bear, ("brown", "white", "black", "beige")),
    Family(beasts.giraffe, ("yellow", "orange", "beige")),
    Family(reptiles.crocodile, ("green", "brown", "gray")),
    Family(critters.owl, ("brown", "beige", "white", "gray")),
    Family(critters.penguin, ("black", "blue", "gray")),
    Family(critters.frog, ("green", "brown", "yellow")),
    Family(critters.crab, ("red", "orange", "brown")),
    Family(critters.snail, ("brown", "orange", "yellow", "pink")),
    Family(critters.octopus, ("red", "purple", "pink", "orange")),
    Family(critters.whale, ("blue", "gray", "black", "cyan")),
    Family(critters.hen, ("white", "brown", "red", "black")),
    Family(critters.ladybird, ("red", "orange", "yellow")),
    Family(figures.doll),
    Family(figures.knight),
    Family(figures.toy_soldier, ("red", "blue", "green")),
    Family(figures.seated_statue, ("gray", "white", "brown", "beige", "green")),
    Family(figures.angel, ("white", "beige", "cyan", "pink")),
    Family(toys.gnome, ("red", "blue", "green")),
    Family(toys.astronaut),
    Family(toys.hero, ("blue", "red", "black", "green")),
    Family(toys.nesting_doll),
    Family(toys.rocking_horse, ("brown", "beige", "white", "red")),
    Family(toys.jester),
    Family(food.croissant),
    Family(food.donut, ("pink", "brown", "white", "cyan")),
    Family(food.pizza_slice, ("yellow", "orange", "red")),
    Family(food.sandwich),
    Family(food.cupcake, ("pink", "white", "brown", "cyan")),
    Family(food.carrot, ("orange", "red", "white", "purple")),
    Family(food.lemon, ("yellow", "orange", "green")),
    Family(food.grapes, ("purple", "green", "blue", "red")),
    Family(food.melon, ("green", "yellow")),
    Family(meals.bread),
    Family(meals.hot_dog, ("yellow", "red")),
    Family(meals.egg),
    Family(meals.corn, ("yellow",)),
    Family(meals.sushi, ("orange", "red", "pink")),
    Family(meals.cheese, ("yellow", "orange", "white")),
    Family(meals.pepper, ("red", "green", "yellow", "purple")),
    Family(meals.pancakes, ("brown", "orange", "red")),
    Family(meals.fries, ("red", "yellow", "white", "blue")),
    Family(rides.motorcycle),
    Family(rides.bicycle),
    Family(rides.scooter),
    Family(rides.skateboard),
    Family(rides.tractor, ("green", "red", "blue", "orange")),
    Family(rides.tank, ("green", "brown", "gray", "yellow")),
    Family(crafts.helicopter),
    Family(crafts.sailing_ship),
    Family(crafts.balloon),
    Family(rides.fire_engine, ("red", "yellow")),
    Family(outdoors.fire_hydrant, ("red", "yellow", "blue")),
    Family(outdoors.letter_box, ("red", "blue", "gray", "yellow")),
    Family(outdoors.traffic_cone, ("orange", "red")),
    Family(buildings.windmill, ("white", "brown", "beige", "red")),
    Family(buildings.castle, ("gray", "beige", "white", "brown")),
    Family(outdoors.fountain, ("gray", "white", "beige")),
    Family(outdoors.barrow, ("green", "red", "gray", "blue")),
    Family(buildings.lighthouse, ("white", "red", "blue")),
    Family(buildings.well, ("gray", "beige", "brown")),
    Family(buildings.bird_house),
    Family(instruments.treasure_chest, ("brown", "red", "beige")),
    Family(instruments.drum),
    Family(instruments.violin, ("brown", "orange", "red")),
    Family(instruments.piano, ("black", "brown", "white")),
    Family(instruments.trumpet, ("yellow", "gray")),
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

EVERYDAY_FAMILIES: tuple[Family, ...] = tuple(
    family
    for family in FAMILIES
    if not family.is_held_out
    and (
        family.build.__module__ == household.__name__
        or family.build
        in (objects.ball, objects.brick, objects.bag, objects.gift, objects.blocks)
    )
)
"""Named families of things on a table: mostly boxes, vessels and balls."""
